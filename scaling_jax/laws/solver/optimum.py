"""The best fit of any law to rows, and its refits to resamples of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.catalogue.law import Law
from scaling_jax.laws.catalogue.power_sum import PowerSum
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.priors import Priors
from scaling_jax.laws.solver.revival import around, revived_at, with_revivals
from scaling_jax.laws.solver.scaled_prior import FIRST_NOISE, ScaledPrior, noise_of, per_nat
from scaling_jax.laws.solver.search import (
    MOST_SEARCHED,
    Found,
    best_ends,
    global_optimum,
    padded,
    sampled,
)

if TYPE_CHECKING:
    from scaling_jax.laws.solver.model import Parametrization
    from scaling_jax.laws.solver.problem import Pull


# A term of such a share of the response is as good as none, and descents leave it so.
_NOTHING = 1e-13


@dataclass(frozen=True)
class PointFit:
    """The optimum of a law on some rows.

    Attributes:
        theta_P: optimum in the coordinates of the solver: for a sum of powers in centred logs,
            ordered as `PowerSum.design`; for a function as is, positive constants in logs.
        centre: mean log of every variable, which was taken out before fitting; empty for a
            function.
        constants_P: the law's constants.
        free_P: 1 for constants that were fitted, 0 for those held.
        value: objective, summed over rows.
        gradient_norm: Euclidean norm of the objective's gradient in `theta`.
        condition: condition number of the Hessian, its diagonal scaled to one.
        n_optima: distinct optima that the finished descents ended in.
        residuals_N: measured minus predicted, of logs where the law is fitted in logs.
        leverage_N: share of each row's value that least squares would fit to the row itself.
        unbalanced: the gradient's norm as a share of the rows' contributions to it; see `Found`.
        vanished: constants that hardly change any row at the optimum, such as a floor of zero.
        revived_RxP: points from which a refit finds them again, as `solver.revival` makes them.
        prior: what the fit took to be known beside the rows; None for nothing.
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
    unbalanced: float = 0.0
    vanished: tuple[str, ...] = ()
    revived_RxP: np.ndarray | None = None
    prior: "ScaledPrior | None" = None

    @property
    def starts_SxP(self) -> np.ndarray:
        """Where refits start: the optimum, then `revived_RxP`."""
        none = np.empty((0, len(self.theta_P)))
        return np.vstack([self.theta_P, none if self.revived_RxP is None else self.revived_RxP])

    @classmethod
    def of(
        cls,
        found: Found,
        constants_P: np.ndarray,
        free_P: np.ndarray,
        y_N: np.ndarray,
        centre: dict[str, float],
        vanished: tuple[str, ...] = (),
        revived_RxP: np.ndarray | None = None,
        prior: ScaledPrior | None = None,
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
            unbalanced=found.unbalanced,
            vanished=vanished,
            revived_RxP=revived_RxP,
            prior=prior,
        )


def optimum(
    law: Law,
    values: Mapping[str, np.ndarray],
    response_N: np.ndarray,
    weights_N: np.ndarray | None = None,
    *,
    objective: Objective | None = None,
    fixed: Mapping[str, float] | None = None,
    priors: Priors | None = None,
) -> PointFit:
    """The global optimum of the objective on the rows, and of the priors where a law has some.

    Args:
        law: any law.
        values: every variable of the law.
        response_N: what was measured.
        weights_N: how often each row counts; ones by default.
        objective: what is minimized; by default the law's, Huber's on logs for a loss.
        fixed: constants to hold at given values.
        priors: what is known of the constants; by default the law's.

    Raises:
        InputError: `fixed` or `priors` names a constant that the law cannot hold; a signed
            response and an objective in logs; the law is finite at no start.
    """
    measured_N = np.asarray(response_N, np.float64)
    objective, known = objective or law.default_objective, law.priors if priors is None else priors
    if not known:
        return _optimum(law, values, measured_N, weights_N, objective, fixed or {}, None)
    fitted_N = measured_N if weights_N is None else measured_N[np.asarray(weights_N) > 0]
    first = ScaledPrior(
        *law.prior_theta(known, float(fitted_N.min())),
        per_nat(noise_of(np.full(1, FIRST_NOISE)), objective),
    )
    # The noise, on which a prior's weight depends, is known once there is a fit.
    point = _optimum(law, values, measured_N, weights_N, objective, fixed or {}, first)
    counted_N = point.residuals_N if weights_N is None else point.residuals_N[weights_N > 0]
    prior = replace(first, per_nat=per_nat(noise_of(counted_N), objective))
    return _optimum(law, values, measured_N, weights_N, objective, fixed or {}, prior)


@in_float64
def _optimum(
    law: Law,
    values: Mapping[str, np.ndarray],
    measured_N: np.ndarray,
    weights_N: np.ndarray | None,
    objective: Objective,
    fixed: Mapping[str, float],
    prior: ScaledPrior | None,
) -> PointFit:
    from scaling_jax.laws.solver.problem import Data

    solver = parametrization(law, objective)
    held_P = law.held_theta(fixed)
    free_P = np.isnan(held_P).astype(np.float64)
    columns = {name: np.asarray(values[name], np.float64) for name in law.variables}
    centre = solver.centre(columns)
    y_N = solver.measured(measured_N)
    w_N = np.ones_like(y_N) if weights_N is None else np.asarray(weights_N, np.float64)
    rows = (solver.inputs(columns, centre), y_N, w_N)

    def data_of(rows: tuple[Any, np.ndarray, np.ndarray]) -> Data:
        return Data(*_on_device((*padded(*rows), free_P)))._replace(prior=pull(prior))

    data, least = data_of(rows), float(measured_N.min())
    is_long = len(y_N) > MOST_SEARCHED
    searched = data_of(sampled(*rows)) if is_long else data
    starts_SxP = solver.starts(held_P, searched, least)
    starts_SxP = np.where(free_P > 0, starts_SxP, np.nan_to_num(held_P))
    if is_long:
        starts_SxP = best_ends(solver.problem, starts_SxP, searched)
    found, revived = with_revivals(
        solver, global_optimum(solver.problem, starts_SxP, data), data, least
    )
    return PointFit.of(
        found,
        solver.constants(found.theta_P, centre),
        free_P,
        y_N,
        centre,
        vanished=tuple(law.names[p] for p in revived.constants),
        revived_RxP=revived.theta_RxP,
        prior=prior,
    )


@in_float64
def with_starts_for(
    law: PowerSum,
    values: Mapping[str, np.ndarray],
    fitted: PointFit,
    response_N: np.ndarray,
    coefficients: tuple[str, ...],
) -> PointFit:
    """The fit, with starts from which refits find coefficients again, or find that they vanish.

    Args:
        law, values, response_N: what was fitted, as `optimum` takes them.
        fitted: the fit.
        coefficients: which vanish in some refits.
    """
    from scaling_jax.laws.solver.problem import Data

    solver, least = parametrization(law), float(response_N.min())
    columns = {name: np.asarray(values[name], np.float64) for name in law.variables}
    rows = (solver.inputs(columns, fitted.centre), solver.measured(response_N))
    data = Data(*_on_device((*rows, np.ones_like(response_N), fitted.free_P)))
    indices = tuple(law.names.index(name) for name in coefficients)
    starts = [revived_at(solver, fitted.theta_P, indices, data, least).theta_RxP]
    for k in indices:
        without_1xP = fitted.theta_P[None].copy()
        without_1xP[:, k] = np.log(least * _NOTHING)
        starts.append(around(solver, without_1xP, (k,), data))
    return replace(fitted, vanished=coefficients, revived_RxP=np.concatenate(starts))


@in_float64
def refit(
    law: Law,
    values: Mapping[str, np.ndarray],
    fitted: PointFit,
    response_BxN: np.ndarray,
    weights_BxN: np.ndarray,
    *,
    objective: Objective | None = None,
    prior_draws: range | None = None,
) -> np.ndarray:
    """Constants `BxP` of the law refitted to B resamples, each from the optimum of the whole.

    One descent to each, not a search from many starts: a resample moves the optimum little, and
    a bootstrap should follow the optimum that was fitted rather than jump to another. Where terms
    have vanished at that optimum, a descent from it cannot bring them back, so further descents
    start where they are there, and the lowest end counts. With `prior_draws` the means of the
    fit's priors are drawn for each resample, as a bootstrap needs; it numbers the resamples.
    """
    from scaling_jax.laws.solver import newton
    from scaling_jax.laws.solver.problem import Data, Pull

    solver = parametrization(law, objective)
    columns = {name: np.asarray(values[name], np.float64) for name in law.variables}
    y_BxN = solver.measured(np.asarray(response_BxN, np.float64))
    inputs = solver.inputs(columns, fitted.centre)
    inputs, y_NxB, w_NxB = padded(inputs, y_BxN.T, weights_BxN.T)
    data = Data(*_on_device((inputs, y_NxB[:, 0], w_NxB[:, 0], fitted.free_P)))
    data = data._replace(prior=pull(fitted.prior))
    prior_L = None
    if prior_draws is not None and fitted.prior is not None:
        means_LxP = fitted.prior.drawn(prior_draws.stop)[prior_draws.start :]
        prior_L = Pull(means_LxP, np.tile(fitted.prior.precision_P, (len(y_BxN), 1)))
    ends = newton.descend_from_each(
        solver.problem, fitted.starts_SxP, data, y_NxB.T, w_NxB.T, prior_L
    )
    return solver.constants(ends.theta_SxP, fitted.centre)


def parametrization(law: Law, objective: Objective | None = None) -> "Parametrization":
    """How the solver works on a law: by closed forms for sums of powers, otherwise by autodiff."""
    objective = objective or law.default_objective
    if isinstance(law, PowerSum):
        from scaling_jax.laws.solver.power_sum import PowerSumSolver

        return PowerSumSolver(law, objective)
    if isinstance(law, FunctionLaw):
        from scaling_jax.laws.solver.autodiff import FunctionSolver

        return FunctionSolver(law, objective)
    raise TypeError(f"a law is a PowerSum or a FunctionLaw, not {type(law).__name__}")


def pull(prior: ScaledPrior | None) -> "Pull | None":
    """A prior as the solver takes it."""
    from scaling_jax.laws.solver.problem import Pull

    return None if prior is None else Pull(*_on_device((prior.mean_P, prior.precision_P)))


def _on_device(tree: Any) -> Any:
    import jax

    return jax.tree.map(jax.numpy.asarray, tree)
