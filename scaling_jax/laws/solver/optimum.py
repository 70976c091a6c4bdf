"""The best fit of a form to rows: many starts, the global optimum, how well it is pinned down."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective, objective_named
from scaling_jax.laws.solver.search import Found, global_optimum, padded

if TYPE_CHECKING:
    from scaling_jax.laws.solver import newton
    from scaling_jax.laws.solver.model import Model

# Exponents that starts are laid out over. It is only a start: the descent may leave the range.
_LEAST_EXPONENT, _MOST_EXPONENT = 0.005, 10.0
# A finer grid has the lowest starts all in one place, and the search is the worse for it.
_STARTS, _LEAST_EACH = 400, 8
_OUTER_POWERS = (0.02, 2.0)
# Shares of the least loss, for the floor of a law whose floor stands outside a power.
_FLOORS = (0.01, 0.3, 0.6, 0.9)

# With more exponents than this a grid is too coarse in each: a low-discrepancy sequence, of a
# power of two points, tells them apart better.
_MOST_AXES = 3
_SCATTERED = 2048


@dataclass(frozen=True)
class PointFit:
    """A fitted form.

    Attributes:
        theta_P: optimum in centred logs, as `PowerSum.design` orders it.
        centre: mean log of every variable, which was taken out before fitting.
        constants_P: the law's constants.
        free_P: 1 for constants that were fitted, 0 for those held.
        value: objective, summed over rows.
        gradient_norm: Euclidean norm of the objective's gradient in `theta`.
        condition: condition number of the Hessian, its diagonal scaled to one.
        n_optima: distinct optima that the finished descents ended in.
        residuals_N: log measured minus log predicted.
        leverage_N: share of each row's value that least squares would fit to the row itself.
    """

    theta_P: np.ndarray
    centre: dict[str, float]
    constants_P: np.ndarray
    free_P: np.ndarray
    value: float
    gradient_norm: float
    condition: float
    n_optima: int
    residuals_N: np.ndarray
    leverage_N: np.ndarray

    @classmethod
    def of(
        cls,
        found: Found,
        constants_P: np.ndarray,
        free_P: np.ndarray,
        y_N: np.ndarray,
        centre: dict[str, float],
    ) -> "PointFit":
        """The optimum that a search found for the measured `y_N`, which it may have padded."""
        return cls(
            theta_P=found.theta_P,
            centre=centre,
            constants_P=constants_P,
            free_P=free_P,
            value=found.value,
            gradient_norm=found.gradient_norm,
            condition=found.condition,
            n_optima=found.n_optima,
            residuals_N=y_N - found.predicted_N[: len(y_N)],
            leverage_N=found.leverage_N[: len(y_N)],
        )


@in_float64
def optimum(
    form: PowerSum,
    values: Mapping[str, np.ndarray],
    loss_N: np.ndarray,
    weights_N: np.ndarray | None = None,
    *,
    objective: Objective | None = None,
    fixed: Mapping[str, float] | None = None,
) -> PointFit:
    """The global optimum of the objective (by default, summed Huber on log loss).

    `values` holds every variable of the form; `weights_N` defaults to ones; `fixed` holds
    constants at given values.

    Raises:
        InputError: `fixed` names what the form does not have, or a coefficient of variables.
    """
    import jax.numpy as jnp

    from scaling_jax.laws.solver import newton
    from scaling_jax.laws.solver.power_sum import closed_form_starts

    problem = _problem(form, objective)
    held = form.held_theta(fixed or {})
    logs = {name: np.log(np.asarray(values[name], np.float64)) for name in form.variables}
    centre = {name: float(log.mean()) for name, log in logs.items()}
    u_NxKxP = form.design({name: log - centre[name] for name, log in logs.items()})
    y_N = np.log(np.asarray(loss_N, np.float64))
    w_N = np.ones_like(y_N) if weights_N is None else np.asarray(weights_N, np.float64)
    free_P = np.isnan(held).astype(np.float64)
    data = newton.Data(*map(jnp.asarray, (*padded(u_NxKxP, y_N, w_N), free_P)))
    grid_SxQ, floor_S = _with_floors(form, _start_grid(form, held), np.exp(y_N.min()))
    starts = closed_form_starts(
        grid_SxQ,
        data,
        n_terms=len(form.terms),
        outer=form.outer is not None,
        outside=form.outside,
        floor_S=floor_S,
    )
    starts_SxP = np.asarray(starts)
    starts_SxP = np.where(free_P > 0, starts_SxP, np.nan_to_num(held))
    found = global_optimum(problem, starts_SxP, data)
    return PointFit.of(found, form.constants(found.theta_P, centre), free_P, y_N, centre)


@in_float64
def refit(
    form: PowerSum,
    values: Mapping[str, np.ndarray],
    fitted: PointFit,
    loss_BxN: np.ndarray,
    weights_BxN: np.ndarray,
    *,
    objective: Objective | None = None,
) -> np.ndarray:
    """Constants `BxP` of the form refitted to B resamples, each from the optimum of the whole."""
    import jax.numpy as jnp

    from scaling_jax.laws.solver import newton

    problem = _problem(form, objective)
    logs = {name: np.log(values[name]) - fitted.centre[name] for name in form.variables}
    u_NxKxP, y_NxB, w_NxB = padded(form.design(logs), np.log(loss_BxN).T, weights_BxN.T)
    y_BxN, w_BxN = y_NxB.T, w_NxB.T
    data = newton.Data(*map(jnp.asarray, (u_NxKxP, y_BxN[0], w_BxN[0], fitted.free_P)))
    theta_BxP = np.tile(fitted.theta_P, (len(y_BxN), 1))
    ends = newton.descend(problem, theta_BxP, data, y_BxN, w_BxN)
    return form.constants(ends.theta_SxP, fitted.centre)


def model_of(form: PowerSum) -> "Model":
    """The solver's model of a form: a sum of terms, or a power of one."""
    from scaling_jax.laws.solver.power_sum import PowerOfSum, TermSum

    return PowerOfSum(form.outside) if form.outer else TermSum()


def _problem(form: PowerSum, objective: Objective | None) -> "newton.Problem":
    from scaling_jax.laws.solver import newton

    return newton.Problem(model_of(form), objective or objective_named("huber"))


def _with_floors(
    form: PowerSum, grid_SxQ: np.ndarray, least_loss: float
) -> tuple[np.ndarray, np.ndarray]:
    """The grid once for each floor to start from, where a form has terms outside a power."""
    if not form.outside:
        return grid_SxQ, np.zeros(len(grid_SxQ))
    repeated = np.repeat(grid_SxQ, len(_FLOORS), axis=0)
    return repeated, np.tile(np.array(_FLOORS) * least_loss, len(grid_SxQ))


def _start_grid(form: PowerSum, held_P: np.ndarray) -> np.ndarray:
    """Combinations of exponents to start from; those held stand at their values."""
    held_Q = held_P[len(form.terms) :]
    n_free = max(1, int(np.isnan(held_Q).sum()))
    if n_free > _MOST_AXES and not form.outer:
        return _scattered_grid(held_Q)
    n_each = max(_LEAST_EACH, round(_STARTS ** (1 / n_free)))
    axis = np.geomspace(_LEAST_EXPONENT, _MOST_EXPONENT, n_each)
    axes = [axis if np.isnan(q) else np.array([q]) for q in held_Q]
    if form.outer and np.isnan(held_Q[-1]):
        axes[-1] = np.log(np.geomspace(*_OUTER_POWERS, n_each))
    return np.array(list(itertools.product(*axes)))


def _scattered_grid(held_Q: np.ndarray) -> np.ndarray:
    from scipy.stats import qmc

    free_Q = np.isnan(held_Q)
    unit_SxF = qmc.Sobol(int(free_Q.sum()), rng=0).random(_SCATTERED)
    grid_SxQ = np.tile(held_Q, (_SCATTERED, 1))
    grid_SxQ[:, free_Q] = _LEAST_EXPONENT * (_MOST_EXPONENT / _LEAST_EXPONENT) ** unit_SxF
    return grid_SxQ
