"""Processes that were forked after JAX had been used, in which JAX would wait for ever."""

import functools
import os

from scaling_jax.errors import InputError


def refuse_forked() -> None:
    """Refuse to use JAX in a process that was forked from one in which JAX was used.

    A fork copies the memory of a process but not its threads, and JAX waits for its own.

    Raises:
        InputError: this is such a process.
    """
    if os.getpid() != _first_user():
        raise InputError(
            f"process {os.getpid()} was forked from process {_first_user()}, which had used JAX, "
            "whose threads do not survive a fork: start processes by spawn, such as with "
            "multiprocessing.get_context('spawn')"
        )


@functools.cache
def _first_user() -> int:
    """The first process that used JAX: this one, or one that it was forked from."""
    return os.getpid()
