"""Optima at which a term has vanished, and the points from which refits bring the term back.

At a floor of zero, or any coefficient of zero, the gradient in the coefficient's logarithm is
zero and so is every step of a descent: resamples, profiles and deletions that start there would
all keep the term away, and their intervals would be those of a smaller law.
"""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.solver.model import Parametrization, Revival
from scaling_jax.laws.solver.search import Found, global_optimum, is_lower

if TYPE_CHECKING:
    from scaling_jax.laws.solver.problem import Data


def with_revivals(
    solver: Parametrization, found: Found, data: "Data", least: float
) -> tuple[Found, Revival]:
    """The optimum, or a lower one that bringing vanished terms back leads to, and its revivals.

    Every vanished term is held at a few sizes while the rest is fitted to all rows, as a profile
    does, so that refits start near the best law that has the term.

    Args:
        solver: of the law.
        found: the optimum of a search.
        data: the rows.
        least: the lowest measured response.
    """
    from scaling_jax.laws.solver import newton

    revived = _revived(solver, found, data, least)
    if not len(revived.theta_RxP):
        return found, revived
    ends = newton.descend(solver.problem, revived.theta_RxP, data)
    if not is_lower(float(np.nanmin(ends.value_S)), found.value):
        return found, revived
    lower = global_optimum(solver.problem, ends.theta_SxP, data)
    return lower, _revived(solver, lower, data, least)


def _revived(solver: Parametrization, found: Found, data: "Data", least: float) -> Revival:
    fitted_N = np.asarray(data.w_N) > 0
    still = solver.vanished(found.gradient_NxP[fitted_N], found.predicted_N[fitted_N])
    return revived_at(solver, found.theta_P, still, data, least)


def revived_at(
    solver: Parametrization,
    theta_P: np.ndarray,
    constants: tuple[int, ...],
    data: "Data",
    least: float,
) -> Revival:
    """Points about `theta` at which those of the constants that are free have some size.

    At each, the constant is held while the rest is fitted to the rows.

    Args:
        solver: of the law.
        theta_P: an optimum.
        constants: indices of those that vanished.
        data: the rows.
        least: the lowest measured response.
    """
    free_P = np.asarray(data.free_P)
    vanished = tuple(p for p in constants if free_P[p])
    ends = [np.empty((0, len(free_P)))]
    for held, theta_RxP in solver.revivals(theta_P, vanished, least):
        ends.append(around(solver, theta_RxP, held, data))
    theta_RxP = np.concatenate(ends)
    return Revival(vanished, theta_RxP[np.isfinite(theta_RxP).all(axis=1)])


def around(
    solver: Parametrization, theta_RxP: np.ndarray, constants: tuple[int, ...], data: "Data"
) -> np.ndarray:
    """The best fits that hold constants where each `theta` has them."""
    import jax.numpy as jnp

    from scaling_jax.laws.solver import newton

    free_P = np.array(data.free_P)
    free_P[list(constants)] = 0
    held = data._replace(free_P=jnp.asarray(free_P))
    return newton.descend(solver.problem, theta_RxP, held).theta_SxP
