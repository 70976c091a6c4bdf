"""`status`: where a study stands, once or over and over."""

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import tyro

from scaling_jax.cli.arguments import Json, StoreDirectory, optional, refuse_with
from scaling_jax.cli.output import drawn, on_terminal, print_json, print_table
from scaling_jax.cli.status_text import law_text, status_json, status_text
from scaling_jax.errors import InputError, suggestion
from scaling_jax.formatting import plain_spaces
from scaling_jax.system.environment import leave_accelerators
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from rich.console import Group

    from scaling_jax.study.status.interim_law import InterimLaw
    from scaling_jax.study.status.standing import Onlooker

NO_LAW = "none"


def status(
    directory: StoreDirectory,
    /,
    *,
    law: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME", help="the law to fit to the runs that finished, as for fit, or none"
        ),
    ] = "chinchilla",
    price: Annotated[float | None, optional("of a device-hour, in any currency", "P")] = None,
    watch: Annotated[bool, optional("keep it on the screen until Ctrl-C")] = False,
    every: Annotated[
        float, tyro.conf.arg(metavar="SECONDS", help="how often --watch looks again")
    ] = 5.0,
    json: Json = False,
) -> None:
    """Show how far a study is: runs, each budget, failures, time and money left, the law so far.

    A law is only ever fitted to runs that finished. It is kept in the study's directory and
    fitted anew when another run has finished.
    """
    leave_accelerators()
    from scaling_jax.study import Store
    from scaling_jax.study.status.interim_law import InterimLaw
    from scaling_jax.study.status.standing import Onlooker

    if price is not None and not 0 <= price < math.inf:
        raise InputError(f"--price {price} must be finite and not negative: leave it out")
    if watch:
        refuse_with("--watch draws on a terminal", {"--json": json})
        require_interval(every)
        if not on_terminal():
            raise InputError("--watch draws on a terminal, and there is none: leave it out")
    if law != NO_LAW:
        _require_law(law)
    store = Store.open(directory)
    onlooker, interim = Onlooker(store), InterimLaw(store, law)
    if watch:
        _watch(onlooker, interim if law != NO_LAW else None, price, every)
        return
    standing = onlooker.look()
    if json:
        print_json(status_json(standing, None if law == NO_LAW else interim.of(standing), price))
        return
    for number, block in enumerate(status_text(standing, None, price)):
        if number:
            print()
        print(plain_spaces(block)) if isinstance(block, str) else print_table(block)
    if law != NO_LAW:
        # It takes seconds when it is new, so what is known already is shown first.
        print(flush=True)
        print(plain_spaces(law_text(standing, interim.of(standing))))


def require_interval(seconds: float) -> None:
    """Refuse an interval between looks that is not positive and finite (`InputError`)."""
    if not 0 < seconds < math.inf:
        raise InputError(f"--every {seconds} must be a positive number of seconds")


def _require_law(name: str) -> None:
    from scaling_jax.laws import LAWS

    known = [*LAWS, "auto", NO_LAW]
    if name not in known:
        raise InputError(f"unknown law {name!r}{suggestion(name, known)}")


def _watch(
    onlooker: "Onlooker", interim: "InterimLaw | None", price: float | None, every: float
) -> None:
    """Show the study until Ctrl-C or until no training is left."""
    from rich.console import Console
    from rich.live import Live

    law = None
    with suppress(KeyboardInterrupt), Live(console=Console(), auto_refresh=False) as live:
        while True:
            standing = onlooker.look()
            live.update(_group(status_text(standing, law, price)), refresh=True)
            if interim is not None:
                # It takes seconds when it is new, so what is known already is shown first.
                law = interim.of(standing)
                live.update(_group(status_text(standing, law, price)), refresh=True)
            if standing.seconds_left == 0:
                return
            time.sleep(every)


def _group(blocks: list[str | Table]) -> "Group":
    from rich.console import Group
    from rich.text import Text

    shown = [Text(plain_spaces(b) + "\n") if isinstance(b, str) else drawn(b) for b in blocks]
    return Group(*shown)
