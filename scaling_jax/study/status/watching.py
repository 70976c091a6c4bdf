"""A study on a terminal, drawn again until it has ended."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError
from scaling_jax.formatting import plain_spaces
from scaling_jax.study.status.standing_text import status_text
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from rich.console import Group

    from scaling_jax.study.status import EndsSoFar, InterimLaw, StudyMonitor


def require_interval(seconds: float) -> None:
    """Refuse seconds between two looks that are not positive.

    Raises:
        InputError: they are not.
    """
    if not 0 < seconds < math.inf:
        raise InputError(f"--every {seconds} must be a positive number of seconds")


def watch(
    monitor: "StudyMonitor",
    interim: "InterimLaw | None",
    price: float | None,
    every: float,
    foresee: "Callable[[], EndsSoFar | None]",
) -> None:
    """Show the study until Ctrl-C or until no training is left."""
    from rich.console import Console
    from rich.live import Live

    law = None
    with suppress(KeyboardInterrupt), Live(console=Console(), auto_refresh=False) as live:
        while True:
            standing = monitor.look()
            ends = foresee()
            live.update(_group(status_text(standing, law, price, ends)), refresh=True)
            if interim is not None:
                # A new fit takes seconds, so everything else is shown first.
                law = interim.law(standing)
                live.update(_group(status_text(standing, law, price, ends)), refresh=True)
            if standing.seconds_left == 0:
                return
            time.sleep(every)


def _group(blocks: list[str | Table]) -> "Group":
    from rich.console import Group
    from rich.text import Text

    shown = [Text(plain_spaces(b) + "\n") if isinstance(b, str) else b.drawn() for b in blocks]
    return Group(*shown)
