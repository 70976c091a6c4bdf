"""The best fit of a form to rows: many starts, the global optimum, how well it is pinned down."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.laws.forms import Form
from scaling_jax.laws.precision import in_float64

DELTA = 1e-3

# Exponents that starts are laid out over. It is only a start: the descent may leave the range.
_LEAST_EXPONENT, _MOST_EXPONENT = 0.005, 10.0
_MOST_STARTS = 1600

# The most promising starts take a few steps each, and the best of those go on to their ends.
_TRIAL_GROUPS, _TRIAL_STEPS = 5, 10
_FINISHED = 32


@dataclass(frozen=True)
class PointFit:
    """A fitted form.

    Attributes:
        theta_P: optimum in centred logs, as `Form.design` orders it.
        centre: mean log of every variable, which was taken out before fitting.
        constants_P: the law's constants.
        value: objective, summed over rows.
        gradient_norm: Euclidean norm of the objective's gradient in `theta`.
        condition: condition number of the Hessian, its diagonal scaled to one.
        n_optima: distinct optima that the refined starts ended in.
        residuals_N: log measured minus log predicted.
    """

    theta_P: np.ndarray
    centre: dict[str, float]
    constants_P: np.ndarray
    value: float
    gradient_norm: float
    condition: float
    n_optima: int
    residuals_N: np.ndarray


@in_float64
def fit_point(
    form: Form,
    values: Mapping[str, np.ndarray],
    loss_N: np.ndarray,
    weights_N: np.ndarray | None = None,
    delta: float = DELTA,
) -> PointFit:
    """The global optimum of summed Huber on log loss.

    `values` holds every variable of the form; `weights_N` defaults to ones.
    """
    import jax.numpy as jnp

    from scaling_jax.laws import solve

    logs = {name: np.log(np.asarray(values[name], np.float64)) for name in form.variables}
    centre = {name: float(log.mean()) for name, log in logs.items()}
    u_NxKxP = form.design({name: log - centre[name] for name, log in logs.items()})
    y_N = np.log(np.asarray(loss_N, np.float64))
    w_N = np.ones_like(y_N) if weights_N is None else np.asarray(weights_N, np.float64)
    data = solve.Data(*map(jnp.asarray, (u_NxKxP, y_N, w_N)))
    starts_SxP = solve.closed_form_starts(_exponent_grid(form), data, n_terms=len(form.terms))
    at_start_S = solve.objectives_at(starts_SxP, data, delta=delta)
    tried_SxP = _lowest(starts_SxP, at_start_S, _TRIAL_GROUPS * _FINISHED)
    # In groups of the size that is finished, so that both stages are one compiled program.
    trials = [
        solve.descend_from(group, data, jnp.int32(_TRIAL_STEPS), delta=delta)
        for group in np.array_split(tried_SxP, len(tried_SxP) // _FINISHED)
    ]
    reached = [np.concatenate(parts) for parts in zip(*trials, strict=True)]
    finished_SxP = _lowest(reached[0], reached[1], _FINISHED)
    ends = solve.descend_from(finished_SxP, data, jnp.int32(solve.MAX_STEPS), delta=delta)
    values_S, theta_SxP = np.asarray(ends.value), np.asarray(ends.theta_P)
    best = int(np.nanargmin(values_S))
    theta_P = theta_SxP[best]
    gradient_P, exact_PxP, _ = solve.derivatives(theta_P, data, delta)
    return PointFit(
        theta_P=theta_P,
        centre=centre,
        constants_P=form.constants(theta_P, centre),
        value=float(values_S[best]),
        gradient_norm=float(np.linalg.norm(gradient_P)),
        condition=_condition(np.asarray(exact_PxP)),
        n_optima=_count_distinct(values_S),
        residuals_N=-np.asarray(solve.residuals(theta_P, data)),
    )


@in_float64
def refit_resamples(
    form: Form,
    values: Mapping[str, np.ndarray],
    fitted: PointFit,
    loss_BxN: np.ndarray,
    weights_BxN: np.ndarray,
    delta: float = DELTA,
) -> np.ndarray:
    """Constants `BxP` of the form refitted to B resamples, each from the optimum of the whole."""
    from scaling_jax.laws import solve

    logs = {name: np.log(values[name]) - fitted.centre[name] for name in form.variables}
    ends = solve.descend_resamples(
        fitted.theta_P, form.design(logs), np.log(loss_BxN), weights_BxN, delta=delta
    )
    return form.constants(np.asarray(ends.theta_P), fitted.centre)


def _lowest(theta_SxP: ArrayLike, value_S: ArrayLike, count: int) -> np.ndarray:
    """The `count` rows of lowest value."""
    values = np.asarray(value_S)
    order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
    return np.asarray(theta_SxP)[order[:count]]


def _exponent_grid(form: Form) -> np.ndarray:
    n = len(form.exponents)
    per_axis = max(2, int(_MOST_STARTS ** (1 / n)))
    axis = np.geomspace(_LEAST_EXPONENT, _MOST_EXPONENT, per_axis)
    return np.array(list(itertools.product(axis, repeat=n)))


def _condition(hessian_PxP: np.ndarray) -> float:
    scale_P = 1 / np.sqrt(np.maximum(np.abs(np.diag(hessian_PxP)), 1e-300))
    eigenvalues = np.linalg.eigvalsh(hessian_PxP * scale_P[:, None] * scale_P)
    return float("inf") if eigenvalues[0] <= 0 else float(eigenvalues[-1] / eigenvalues[0])


def _count_distinct(values_S: np.ndarray) -> int:
    """Optima whose objectives differ by more than a millionth of the best."""
    ordered = np.sort(values_S[np.isfinite(values_S)])
    return int(1 + (np.diff(ordered) > 1e-6 * ordered[0]).sum())
