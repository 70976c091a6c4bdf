"""Float64 inside, whatever the caller's JAX is set to."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from scaling_jax.forked import refuse_forked

P = ParamSpec("P")
R = TypeVar("R")


def in_float64(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with 64-bit JAX and standard promotion, leaving the caller's settings be.

    The function raises `InputError` in a process that was forked after JAX had been used.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        import jax

        refuse_forked()
        with (
            jax.enable_x64(True),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
        ):
            return function(*args, **kwargs)

    return wrapped
