"""A demonstration on the text that ships with the package: plan, train, fit, predict, verify.

It trains an IsoFLOP study of byte-level models, fits a law, predicts the loss of the optimal model
at four times the largest budget, freezes the forecast, trains that model and scores the forecast.
"""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax.config import DataConfig
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.find import AUTO
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    IsoFlop,
    PlannedRun,
    Recipe,
    Store,
    Study,
    TunedLR,
    around,
    collect,
    curves,
    run_study,
    train_runs,
)
from scaling_jax.study.store.forecasts import FORECAST_FILE, forecasts_of, write_forecast
from scaling_jax.system.files import write_text_atomically

if TYPE_CHECKING:
    from scaling_jax.laws import Fit, Forecast

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

# What `scaling-jax tune` found for these sizes, tokens and batches: docs/tuning.md.
TUNED_RATE = TunedLR(0.033433, 11650.0, 539990.0, 8.0, -0.39286, -0.32601, 0.73203)

# "auto" averages forms of the law by the evidence of the runs, and knows that none is exact.
LAW = AUTO
# What is known of the floor beside the runs, in nats per byte: centre and standard deviation. The
# floors of published laws, 1.69 (Hoffmann et al. 2022, equation 10) and 1.82 nats per token
# (Besiroglu et al. 2024), are about 0.4 for tokens of some 4.4 bytes, on other text.
FLOOR = (0.5, 0.25)

FIT_FILE = "fit.json"
REPORT_FILE = "report.html"


def demo_recipe(seed: int = 0) -> Recipe:
    """The demo's recipe: byte-level transformers, small batches, at most one epoch."""
    return Recipe(
        data=DataConfig(corpus="embedded", tokenizer="bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=TUNED_RATE,
        batch_size=ConstantBatch(8),
        optimizer_knobs={"average_share": 0.05},
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
        floor=FLOOR,
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
    floor: tuple[float, float] | None = None,
    commands: Sequence[str] | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train and fit `study`, predict the optimum at `target_flops`, train that run and compare.

    Finished runs are not trained again. The forecast is on disk before its run is trained, and is
    never replaced. The outcome holds `predicted`, `measured` (nats per token), `error_percent`,
    `interval`, `inside_interval`, the run's `params`, `tokens` and `flops`, `budgets`, `optima`,
    `fit`, `report` (the path of the page) and `seconds`.

    Args:
        study: without verification runs of its own.
        root: where the study is stored.
        target_flops: FLOPs of the run that the law predicts.
        floor: what is known of the floor E beside the runs: centre and standard deviation.
        commands: command lines that the page shows.
        seed: of the bootstrap.
        workers: runs that train at once.
        progress: whether to print the progress of each run.

    Raises:
        InputError: a root that cannot be used, or too many diverged runs to fit a law.
        Preempted: SIGTERM or SIGINT arrived; the same call continues.
    """
    from scaling_jax import laws
    from scaling_jax.report import write_report
    from scaling_jax.report.build import build_report

    began = time.monotonic()
    store = run_study(study, root, workers=workers, progress=progress)
    fitting: dict[str, Any] = dict(
        law=LAW, prior=None if floor is None else {"E": floor}, seed=seed
    )
    fit = laws.fit(collect(store), **fitting)
    write_text_atomically(store.directory / FIT_FILE, fit.to_json())
    run = _verification_run(study, fit, target_flops)
    forecast = _forecast(store, fit, run)
    train_runs([store.add(run)], workers=1, progress=progress)
    compared = laws.compare(collect(store), training_curves=curves(store), **fitting)
    content = build_report(store, target_flops=target_flops, commands=commands, compared=compared)
    page = write_report(content, store.directory / REPORT_FILE)
    seconds = time.monotonic() - began
    return _outcome(store, fit, run, forecast) | {
        "report": os.fspath(page),
        "seconds": round(seconds, 1),
    }


def _verification_run(study: Study, fit: "Fit", target_flops: float) -> PlannedRun:
    """The run of the shape nearest the fitted optimum at the target budget."""
    recipe = study.recipe
    shape = recipe.family.nearest(fit.optimal(target_flops).params)
    config = recipe.for_budget(shape, target_flops)
    return PlannedRun(config, target_flops, "verification", recipe.convention)


def _forecast(store: Store, fit: "Fit", run: PlannedRun) -> "Forecast":
    """The stored forecast of the run; without one, a new forecast, stored before training."""
    from scaling_jax import laws

    name = run.config.run_id
    for stored in forecasts_of(store).values():
        if isinstance(stored, InputError):
            raise stored
        if any(each.name == name for each in stored.runs):
            return stored
    at = {"run_id": name, "params": _params(run), "tokens": run.config.tokens}
    made = laws.forecast(fit, at)
    # A run whose loss is known already can no longer be forecast.
    if store.place(run).result is None:
        path = store.directory / FORECAST_FILE
        path = path if not path.exists() else path.with_name(f"forecast-{name}.json")
        write_forecast(made, path)
    return made


def _params(run: PlannedRun) -> float:
    return run.flops / run.config.tokens / 6


def outcome_text(outcome: dict[str, Any]) -> str:
    """The outcome of `run_demo` as lines of text."""
    low, high = outcome["interval"]
    where = "inside" if outcome["inside_interval"] else "outside"
    return "\n".join(
        (
            f"law             {outcome['fit']['law']}, averaged over forms",
            f"tested on       {outcome['params']:,} parameters, {outcome['tokens']:,} tokens",
            f"predicted loss  {outcome['predicted']:.4f} nats per token ({low:.4f} to {high:.4f})",
            f"measured loss   {outcome['measured']:.4f}, {where} the interval",
            f"error           {outcome['error_percent']:+.2f} %",
            f"report          {outcome['report']}",
        )
    )


def _outcome(store: Store, fit: "Fit", run: PlannedRun, forecast: "Forecast") -> dict[str, Any]:
    from scaling_jax import laws

    name = run.config.run_id
    found = laws.score(forecast, collect(store))
    if name in found.not_scored:
        raise InputError(
            f"the verification run {name} has no loss to compare ({found.not_scored[name]}); see "
            f"{store.directory}"
        )
    scored = next(each for each in found.runs if each.name == name)
    return {
        "predicted": scored.predicted,
        "measured": scored.measured,
        "error_percent": scored.error_percent,
        "interval": list(scored.interval),
        "inside_interval": scored.inside_interval,
        "params": round(_params(run)),
        "tokens": run.config.tokens,
        "flops": run.flops,
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
