"""`simulate`: what a planned study could tell, before it is paid for."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax import formatting
from scaling_jax.accounting import flops as accounting
from scaling_jax.cli.arguments import (
    Experiment,
    Json,
    ScaleOption,
    Settings,
    load_study,
    optional,
)
from scaling_jax.cli.fitting import Level
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.cli.predicting import load_fit
from scaling_jax.formatting import plain_spaces
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws.planning.known import KnownLaw
    from scaling_jax.laws.planning.simulate import Simulation
    from scaling_jax.study import Study

COLUMNS = ("quantity", "truth", "estimates", "interval's width", "holds the truth")
RATIOS = ("params", "tokens")
FORMATS: dict[str, Callable[[Any], str]] = {
    "params": formatting.count,
    "tokens": formatting.count,
    "loss": formatting.loss,
    "measured": formatting.loss,
}
MEANING = {
    "a": "a, N_opt grows as C^a",
    "b": "b, D_opt grows as C^b",
    "params": "N_opt",
    "tokens": "D_opt",
    "loss": "loss of the law",
    "measured": "loss of a run",
}


def simulate(
    experiment: Experiment,
    /,
    *,
    law: Annotated[
        str,
        tyro.conf.arg(
            metavar="LAW",
            help="the law that losses follow: what fit --out wrote, or chinchilla-hoffmann or "
            "chinchilla-besiroglu as published",
        ),
    ],
    scale: ScaleOption = "full",
    settings: Settings = (),
    noise: Annotated[
        float, tyro.conf.arg(metavar="S", help="standard deviation of a run's log loss")
    ] = 0.003,
    outliers: Annotated[
        float, tyro.conf.arg(metavar="P", help="share of runs whose loss is 5 percent too high")
    ] = 0.0,
    studies: Annotated[int, tyro.conf.arg(metavar="M", help="how many to simulate")] = 200,
    approach: Annotated[
        Literal[2, 3], tyro.conf.arg(help="2: IsoFLOP minima, 3: a formula for L(N, D)")
    ] = 3,
    bootstrap: Annotated[
        int, tyro.conf.arg(metavar="K", help="refits of every study, for its intervals")
    ] = 200,
    level: Level = 0.9,
    flops: Annotated[
        float | None, optional("the budget asked about (default: 10 times the largest)", "C")
    ] = None,
    seed: Annotated[int, tyro.conf.arg(metavar="S", help="of the losses and resamples")] = 0,
    json: Json = False,
) -> None:
    """Show what a study could tell before it is paid for, if losses followed a known law.

    Simulates the study many times, with noise, and fits each as `fit` does: how far the optimum,
    the exponents and the loss at a larger budget would be off, and what the study costs.
    """
    from scaling_jax.laws.planning.noise import Noise
    from scaling_jax.laws.planning.simulate import simulate_study

    planned, known = load_study(experiment, scale, settings), _law(law)
    simulation = simulate_study(
        planned_cells(planned),
        known,
        noise=Noise(noise, outliers=outliers),
        n_studies=studies,
        approach=approach,
        bootstrap=bootstrap,
        level=level,
        flops=flops,
        seed=seed,
    )
    for reason, count in simulation.refused.items():
        remark(f"{count} of {studies} studies could not be fitted: {reason}")
    if json:
        print_json(_as_json(planned, known, simulation))
        return
    _print(planned, known, simulation)


def planned_cells(study: "Study") -> "pd.DataFrame":
    """The runs of a study's plan as cells to simulate, in the columns of a table of records."""
    import pandas as pd

    rows = []
    for run in study.plan():
        counts = accounting.count_params(run.config.shape)
        rows.append(
            {
                "role": run.role,
                "budget": run.budget,
                "params": counts.total,
                "params_non_embedding": counts.non_embedding,
                "params_active": counts.active,
                "tokens": run.config.tokens,
                "flops": run.flops,
                "flops_spent": run.flops_spent,
            }
        )
    return pd.DataFrame(rows)


def sentences(simulation: "Simulation") -> list[str]:
    """What a study of this design could tell, in words."""
    summary, level = simulation.summary(), simulation.level
    at = f"{formatting.flops(simulation.flops)} FLOPs"
    error = summary["error"]
    lines = [
        f"In {_share(level)} such studies the optimum at {at} would be known within a factor of "
        f"{math.exp(error['params']):.2f} in params and {math.exp(error['tokens']):.2f} in tokens,",
        f"and the exponent of N_opt within {error['a']:.3f} of its true {summary.truth['a']:.3f}.",
    ]
    if "loss" in summary.index:
        lines.append(
            f"The law's loss there would be known within {error['loss']:.4f} nats per token, "
            f"a measured one predicted within {error['measured']:.4f}."
        )
    held = 100 * summary["coverage"].drop("measured", errors="ignore")
    shares = dict.fromkeys(f"{share:.0f}" for share in (held.min(), held.max()))
    lines.append(
        f"Their {formatting.level(level)} intervals would hold the truth in "
        f"{' to '.join(shares)} % of studies."
    )
    return [plain_spaces(line) for line in lines]


def _law(text: str) -> "KnownLaw":
    from scaling_jax.laws.planning import known

    if text in known.PUBLISHED or not text.endswith(".json"):
        return known.published_law(text)
    return known.law_of(load_fit(Path(text)))


def _share(level: float) -> str:
    tenths = 10 * level
    return f"{tenths:.0f} of 10" if math.isclose(tenths, round(tenths)) else f"{100 * level:g} % of"


def _print(study: "Study", law: "KnownLaw", simulation: "Simulation") -> None:
    n = len(simulation.studies)
    constants = ", ".join(f"{name} {value:.4g}" for name, value in law.constants.items())
    print(
        plain_spaces(
            f"{study.name}: {len(study.plan())} runs, "
            f"{formatting.flops(simulation.training_flops)} FLOPs; simulated {n} times.\n"
            f"Law: {law.form.formula} with {constants} ({law.source})\n"
        )
    )
    summary = simulation.summary()
    print_table(
        Table(COLUMNS, [_cells(name, row) for name, row in summary.iterrows()], COLUMNS[:1])
    )
    print()
    print("\n".join(sentences(simulation)))


def _cells(name: Any, row: Any) -> tuple[str, ...]:
    form = FORMATS.get(name, "{:.3f}".format)
    return (
        MEANING[name],
        form(row.truth) if math.isfinite(row.truth) else "-",
        formatting.interval((row.low, row.high), form),
        f"x {math.exp(row.width):.2f}" if name in RATIOS else form(row.width),
        f"{100 * row.coverage:.0f} %",
    )


def _as_json(study: "Study", law: "KnownLaw", simulation: "Simulation") -> dict[str, Any]:
    return {
        "study": study.name,
        "law": {"form": law.form.name, "constants": dict(law.constants), "count": law.count},
        "flops": simulation.flops,
        "level": simulation.level,
        "studies": len(simulation.studies),
        "refused": dict(simulation.refused),
        "training_flops": simulation.training_flops,
        "quantities": simulation.summary().to_dict(orient="index"),
        "sentences": sentences(simulation),
    }
