"""`run --until`: a study that stops once it knows what was asked."""

from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.cli.exits import CommandFailed
from scaling_jax.cli.output import print_json
from scaling_jax.errors import InputError
from scaling_jax.formatting import plain_spaces

if TYPE_CHECKING:
    from scaling_jax.laws.planning.next_runs import Goal
    from scaling_jax.study.execution.adaptive import Narrowed

_EXAMPLE = "params@1e21:1.5 or loss@1e21:0.02"


def goal_from(text: str) -> "Goal":
    """The goal written as QUANTITY@FLOPS:WIDTH.

    Raises:
        InputError: it is not written so, or a number is out of range.
    """
    from scaling_jax.laws.planning.next_runs import Goal

    quantity, _, rest = text.partition("@")
    flops, _, width = rest.partition(":")
    try:
        numbers = float(flops), float(width)
    except ValueError as error:
        raise InputError(
            f"--until {text!r} must be QUANTITY@FLOPS:WIDTH, such as {_EXAMPLE}"
        ) from error
    return Goal(quantity, *numbers)  # type: ignore[arg-type]  # checked there


def tell_narrowed(ended: "Narrowed", goal: "Goal", json: bool) -> None:
    """Print what an adaptive study knows and what it took.

    Raises:
        CommandFailed: the goal was not reached.
    """
    width = None if ended.advice is None else ended.advice.width
    if json:
        print_json(
            {
                "store": str(ended.store.directory),
                "quantity": goal.quantity,
                "at_flops": goal.flops,
                "asked_width": goal.width,
                "width": width,
                "reached": ended.reached,
                "flops": ended.flops,
                "planned_flops": ended.planned_flops,
            }
        )
    else:
        print(
            plain_spaces(
                f"{formatting.flops(ended.flops)} FLOPs of {formatting.flops(ended.planned_flops)} "
                f"planned; fit what is known with: scaling-jax fit {ended.store.directory}"
            )
        )
    if not ended.reached:
        known = "no law could be fitted" if width is None else f"it is {width:.4g} wide"
        raise CommandFailed(
            f"the interval of {goal.quantity} at {goal.flops:.3g} FLOPs is not {goal.width:g} wide "
            f"yet ({known}): plan more runs, other sizes, or larger budgets"
        )
