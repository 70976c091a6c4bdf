"""`simulate`: what a planned study would find out, before it is trained."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax import formatting
from scaling_jax.cli.arguments import (
    Experiment,
    Json,
    ScaleOption,
    Settings,
    load_study,
    optional,
)
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.laws.conventions import LEVEL

if TYPE_CHECKING:
    from scaling_jax.laws.planning.known import KnownLaw
    from scaling_jax.laws.planning.simulate import Simulation
    from scaling_jax.study import Study


def simulate(
    experiment: Experiment,
    /,
    *,
    law: Annotated[
        str,
        tyro.conf.arg(
            metavar="LAW",
            help="the law that losses follow: a file that fit --out wrote, or a published law "
            "(chinchilla-hoffmann or chinchilla-besiroglu)",
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
    studies: Annotated[int, tyro.conf.arg(metavar="M", help="number of studies to simulate")] = 200,
    approach: Annotated[
        Literal[2, 3], tyro.conf.arg(help="2: IsoFLOP minima, 3: a formula for L(N, D)")
    ] = 3,
    bootstrap: Annotated[
        int, tyro.conf.arg(metavar="K", help="bootstrap refits of each study, for its intervals")
    ] = 200,
    level: Annotated[
        float, tyro.conf.arg(metavar="P", help="share of the bootstrap that an interval holds")
    ] = LEVEL,
    flops: Annotated[
        float | None,
        optional("the budget to report the optimum of (default: 10 times the largest)", "C"),
    ] = None,
    seed: Annotated[int, tyro.conf.arg(metavar="S", help="seed of the losses and resamples")] = 0,
    json: Json = False,
) -> None:
    """Show what a study would find out, before it is trained, if losses followed a known law.

    Simulates the study many times, with noise, and fits each as `fit` does. Shows the errors of
    the optimum, of the exponents and of the loss at a larger budget.
    """
    from scaling_jax.laws.planning.noise import Noise
    from scaling_jax.laws.planning.simulate import simulate_study
    from scaling_jax.laws.planning.simulation_text import simulation_notes
    from scaling_jax.study.status import plan_records

    study, known = load_study(experiment, scale, settings), _law(law)
    simulation = simulate_study(
        plan_records(study),
        known,
        noise=Noise(noise, outliers=outliers),
        n_studies=studies,
        approach=approach,
        bootstrap=bootstrap,
        level=level,
        flops=flops,
        seed=seed,
    )
    for note in simulation_notes(simulation):
        remark(note.line)
    if json:
        print_json(_data(study, known, simulation))
    else:
        _print(study, known, simulation)


def _law(text: str) -> "KnownLaw":
    from scaling_jax import laws
    from scaling_jax.laws.planning import known

    if text in known.PUBLISHED or not text.endswith(".json"):
        return known.published_law(text)
    return known.law_of(laws.Fit.read(text))


def _print(study: "Study", law: "KnownLaw", simulation: "Simulation") -> None:
    from scaling_jax.laws.planning.simulation_text import simulation_sentences, simulation_table

    constants = ", ".join(
        f"{name} {formatting.constant(value)}" for name, value in law.constants.items()
    )
    print(
        f"{study.name}: {len(study.plan())} runs, "
        f"{formatting.flops(simulation.training_flops)} FLOPs; "
        f"simulated {len(simulation.studies)} times."
    )
    print(f"Law: {law.form.formula} with {constants} ({law.source})\n")
    print_table(simulation_table(simulation))
    print("", *simulation_sentences(simulation), sep="\n")


def _data(study: "Study", law: "KnownLaw", simulation: "Simulation") -> dict[str, Any]:
    from scaling_jax.laws.planning.simulation_text import simulation_notes, simulation_sentences

    return {
        "study": study.name,
        "law": {"form": law.form.name, "constants": dict(law.constants), "count": law.count},
        "flops": simulation.flops,
        "level": simulation.level,
        "studies": len(simulation.studies),
        "refused": dict(simulation.refused),
        "training_flops": simulation.training_flops,
        "quantities": simulation.summary().to_dict(orient="index"),
        "sentences": simulation_sentences(simulation),
        "diagnostics": [note.as_data() for note in simulation_notes(simulation)],
    }
