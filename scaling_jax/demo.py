"""A demonstration on the text that ships with the package: plan, train, fit, predict, verify.

It trains an IsoFLOP study of byte-level models, fits a law, predicts the loss of the optimal model
at four times the largest budget, stores the prediction, trains that model and compares.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etils import epath

from scaling_jax.config import DataConfig
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ComputeLR,
    ConstantBatch,
    IsoFlop,
    PlannedRun,
    Recipe,
    Store,
    Study,
    around,
    collect,
    run_study,
    train_runs,
)
from scaling_jax.system.files import write_text_atomically

if TYPE_CHECKING:
    from scaling_jax.laws import Fit, Prediction

N_BUDGETS = 4
SMALLEST_BUDGET = 7.5e10
LARGEST_BUDGET = 16 * SMALLEST_BUDGET
# The prediction is verified at this multiple of the largest budget.
REACH = 4.0
VERIFICATION_BUDGET = REACH * LARGEST_BUDGET

# Expected optimum at the smallest budget, the centre of its grid of sizes. It and the exponent need
# only be accurate enough that every curve has its minimum within its grid.
CENTRE = 15e3
EXPONENT = 0.5
SIZES_PER_BUDGET = 5

# "auto" chooses the law that best predicts the larger budgets when fitted to the smaller ones.
LAW = "auto"

PREDICTION_FILE = "prediction.json"
FIT_FILE = "fit.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class _Predicted:
    """The verification run and its predicted loss."""

    run: PlannedRun
    prediction: "Prediction"


def demo_recipe(seed: int = 0) -> Recipe:
    """The demo's recipe: byte-level transformers, small batches, at most one epoch."""
    return Recipe(
        data=DataConfig(corpus="embedded", tokenizer="bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=ComputeLR(value=1.7e-2, reference_flops=2e11, exponent=-0.3),
        batch_size=ConstantBatch(8),
        eval_tokens=262_144,
        seed=seed,
    )


def demo_study(seed: int = 0) -> Study:
    """The demo's study: four budgets over a factor of 16, five sizes for each.

    Neighbouring budgets differ by a factor of `16^(1/3)` and neighbouring sizes by its square
    root. So the grids of neighbouring budgets share all sizes but one, and the compiled programs.
    """
    ratio = (LARGEST_BUDGET / SMALLEST_BUDGET) ** (1 / (N_BUDGETS - 1))
    budgets = tuple(SMALLEST_BUDGET * ratio**i for i in range(N_BUDGETS))
    width = ratio ** (EXPONENT * (SIZES_PER_BUDGET - 1) / 2)
    sizes = around(
        budgets,
        params=CENTRE,
        at=SMALLEST_BUDGET,
        exponent=EXPONENT,
        width=width,
        n=SIZES_PER_BUDGET,
    )
    return Study(f"demo-seed{seed}", demo_recipe(seed), IsoFlop(budgets, sizes))


def run_demo(
    root: os.PathLike | str, seed: int = 0, *, workers: int | None = None, progress: bool = True
) -> dict[str, Any]:
    """Run the demo under `root`, continuing an earlier call, and return its outcome.

    Raises:
        InputError: a root that cannot be used, or too many diverged runs to fit a law.
        Preempted: SIGTERM or SIGINT arrived; the same call continues.
    """
    command = f"scaling-jax demo --root {os.fspath(root)} --seed {seed}"
    return put_to_the_test(
        demo_study(seed),
        root,
        VERIFICATION_BUDGET,
        commands=(command,),
        seed=seed,
        workers=workers,
        progress=progress,
    )


def put_to_the_test(
    study: Study,
    root: os.PathLike | str,
    target_flops: float,
    *,
    commands: Sequence[str] | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train and fit `study`, predict the optimum at `target_flops`, train that run and compare.

    Finished runs are not trained again. The prediction is on disk before its run is trained. The
    outcome holds `predicted`, `measured` (nats per token), `error_percent`, `interval`,
    `inside_interval`, the run's `params`, `tokens` and `flops`, `budgets`, `optima`, `fit`,
    `report` (the path of the page) and `seconds`. `seed` is the random seed of the bootstrap.

    Raises:
        InputError: a root that cannot be used, or too many diverged runs to fit a law.
        Preempted: SIGTERM or SIGINT arrived; the same call continues.
    """
    from scaling_jax import laws
    from scaling_jax.report import write_report
    from scaling_jax.report.build import build_report

    began = time.monotonic()
    store = run_study(study, root, workers=workers, progress=progress)
    fit = laws.fit(collect(store), law=LAW, seed=seed)
    write_text_atomically(store.directory / FIT_FILE, fit.to_json())
    test = _predict(study, fit, target_flops)
    _store_prediction(store, test)
    train_runs([store.add(test.run)], workers=1, progress=progress)
    content = build_report(
        store,
        target_flops=target_flops,
        law=LAW,
        seed=seed,
        commands=commands,
    )
    page = write_report(content, store.directory / REPORT_FILE)
    seconds = time.monotonic() - began
    return _outcome(store, fit, test) | {"report": os.fspath(page), "seconds": round(seconds, 1)}


def _predict(study: Study, fit: "Fit", target_flops: float) -> _Predicted:
    """The run of the shape nearest the fitted optimum at the target budget, and its prediction."""
    recipe = study.recipe
    shape = recipe.family.nearest(fit.optimal(target_flops).params)
    config = recipe.for_budget(shape, target_flops)
    run = PlannedRun(config, target_flops, "verification", recipe.convention)
    params = run.flops / config.tokens / 6
    return _Predicted(run, fit.predict(params=params, tokens=config.tokens))


def _store_prediction(store: Store, test: _Predicted) -> None:
    path: epath.Path = store.directory / PREDICTION_FILE
    made = test.prediction
    written = {
        "run_id": test.run.config.run_id,
        "flops": test.run.flops,
        "predicted": made.loss,
        "interval": made.interval,
    }
    write_text_atomically(path, json.dumps(written, indent=1))


def outcome_text(outcome: dict[str, Any]) -> str:
    """The outcome of `run_demo` as lines of text."""
    low, high = outcome["interval"]
    where = "inside" if outcome["inside_interval"] else "outside"
    return "\n".join(
        (
            f"law             {outcome['fit']['law']}, which predicted the larger budgets best",
            f"tested on       {outcome['params']:,} parameters, {outcome['tokens']:,} tokens",
            f"predicted loss  {outcome['predicted']:.4f} nats per token ({low:.4f} to {high:.4f})",
            f"measured loss   {outcome['measured']:.4f}, {where} the interval",
            f"error           {outcome['error_percent']:+.2f} %",
            f"report          {outcome['report']}",
        )
    )


def _outcome(store: Store, fit: "Fit", test: _Predicted) -> dict[str, Any]:
    made, result = test.prediction, store.add(test.run).result
    if result is None or result.loss is None:
        state = store.add(test.run).state
        raise InputError(
            f"the verification run {test.run.config.run_id} {state}, so there is no loss to "
            f"compare; see {store.directory}"
        )
    assert made.interval is not None
    return {
        "predicted": made.loss,
        "measured": result.loss,
        "error_percent": 100 * (result.loss / made.loss - 1),
        "interval": list(made.interval),
        "inside_interval": made.interval[0] <= result.loss <= made.interval[1],
        "params": round(test.run.flops / test.run.config.tokens / 6),
        "tokens": test.run.config.tokens,
        "flops": test.run.flops,
        "budgets": sorted({r.planned.budget for r in store.runs() if r.planned.role == "grid"}),
        "optima": _optima(store),
        "fit": {
            "law": fit.law,
            "params": dict(fit.params),
            "intervals": fit.intervals,
            "exponents": fit.exponents,
            "exponent_intervals": fit.exponent_intervals,
            "level": fit.level,
        },
    }


def _optima(store: Store) -> list[dict[str, float]]:
    """The minimum of every IsoFLOP curve and the smallest and largest size of the curve."""
    from scaling_jax import laws

    records = collect(store)
    grid = records[records["role"] == "grid"]
    minima = laws.fit(records, approach=2, bootstrap=0).minima
    sizes = {m.budget: grid.loc[grid["budget"] == m.budget, "params"] for m in minima}
    return [
        {
            "budget": m.budget,
            "params": m.params,
            "tokens": m.tokens,
            "loss": m.loss,
            "smallest": float(sizes[m.budget].min()),
            "largest": float(sizes[m.budget].max()),
        }
        for m in minima
    ]
