"""Optima that are none: descents that did not converge, constants that ran off."""

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.law import Law
from scaling_jax.laws.solver.optimum import PointFit

# Converged fits are below 1e-6 even where Huber's penalty has its kinks.
_MOST_UNBALANCED = 1e-3


def converged(point: PointFit) -> bool:
    """Whether the point is an optimum of finite constants."""
    return point.unbalanced < _MOST_UNBALANCED and bool(np.isfinite(point.constants_P).all())


def require_converged(law: Law, point: PointFit, n_rows: int) -> None:
    """Refuse an optimum that is none, and constants that no number can hold.

    Raises:
        InputError: with the gradient, or the constants that ran off.
    """
    if not point.unbalanced < _MOST_UNBALANCED:
        raise InputError(
            f"the fit of {law.name!r} did not converge: its gradient is {point.unbalanced:.1e} of "
            "what the rows contribute to it, where an optimum has nearly none: check the rows for "
            "values of another unit, weights for extremes, or hold some constants"
        )
    constants = zip(law.names, point.constants_P.tolist(), strict=True)
    lost = [f"{name} = {value}" for name, value in constants if not np.isfinite(value)]
    if lost:
        raise InputError(
            f"the {n_rows} rows do not determine {law.name!r}: its best fit has "
            f"{', '.join(lost)}: add runs at other {', '.join(law.variables)}, or hold some "
            "constants"
        )
