"""`simulate`: what a planned study would find out, before it is trained."""

from typing import Annotated, Literal

import tyro

from scaling_jax.cli.arguments import (
    Experiment,
    Json,
    ScaleOption,
    Settings,
    optional,
)
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.study.plan.named_study import load_study


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
    from scaling_jax.laws.planning import simulation_text as text
    from scaling_jax.laws.planning.known import law_at
    from scaling_jax.laws.planning.noise import Noise
    from scaling_jax.laws.planning.simulate import simulate_study
    from scaling_jax.study.status import plan_records

    study, known = load_study(experiment, scale, settings), law_at(law)
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
    for note in text.simulation_notes(simulation):
        remark(note.line)
    if json:
        print_json({"study": study.name, **text.simulation_data(known, simulation)})
        return
    print(f"{study.name}: {len(study.plan())} runs, {text.simulation_head(known, simulation)}\n")
    print_table(text.simulation_table(simulation))
    print("", *text.simulation_sentences(simulation), sep="\n")
