"""`curves`: the ends of runs by a law of schedules."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_jax.cli.arguments import Json, optional
from scaling_jax.cli.output import print_blocks, print_json, remark
from scaling_jax.system.environment import leave_accelerators


def curves(
    sources: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="CURVE.csv",
            help="curves of finished runs of one model, with columns step, lr and loss; or one "
            "study's directory",
        ),
    ],
    /,
    *,
    predict: Annotated[
        tuple[Path, ...],
        tyro.conf.UseAppendAction,
        optional(
            "the schedule of a run, step and lr, with the loss as far as it is known; may be "
            "repeated (default for a study: its runs under way)",
            "CURVE.csv",
        ),
    ] = (),
    law: Annotated[
        Literal["momentum", "multi-power"], tyro.conf.arg(help="the law of schedules")
    ] = "momentum",
    level: Annotated[float, tyro.conf.arg(metavar="P", help="of the intervals")] = 0.9,
    json: Json = False,
) -> None:
    """Predict where runs end under any schedule, from finished runs of the same model.

    The law is fitted to three curves or more that differ in schedule or length, and to what the
    run itself has so far. status --ends compares runs of one schedule over sizes instead.
    """
    leave_accelerators()
    from scaling_jax.laws.curves.curves_text import ends_blocks, ends_data
    from scaling_jax.study.status.scheduled_ends import ends_from

    found = ends_from(sources, predict, law, level)
    for sentence in found.refused:
        remark(f"warning: {sentence}")
    if json:
        print_json([ends_data(group.ends, group.law) for group in found.groups])
        return
    for number, group in enumerate(found.groups):
        if number:
            print()
        print_blocks(ends_blocks(group.ends, group.law))
