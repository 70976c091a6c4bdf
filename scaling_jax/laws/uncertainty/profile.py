"""Profile likelihood: how much worse the best fit gets as a quantity is moved off its optimum."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.catalogue import Law, PowerSum
from scaling_jax.laws.catalogue.find import LawLike, find_law
from scaling_jax.laws.conventions import LEVEL, Count
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective, objective_named
from scaling_jax.laws.solver.convergence import require_converged
from scaling_jax.laws.solver.optimum import PointFit, optimum, parametrization, pull
from scaling_jax.laws.tables.read import Table, load_table
from scaling_jax.laws.tables.select import Rows, usable_rows

AT_A_BUDGET = ("params", "tokens", "frontier_loss")
EXPONENTS = ("a", "b")

# Targets step outward from the optimum by factors of two this many to each side, as
# far as 13 in an exponent or a logarithm: beyond, the data are taken not to bound it.
_TARGETS = 18
_FIRST_STEP = 1e-4
_REFINEMENTS = 2
_WEIGHT = 1e4
_LARGEST_LOG = 700.0
# A vanished constant a thousandth of the size that it returns at changes nothing yet.
_BELOW_RETURN = math.log(1e3)


@dataclass(frozen=True)
class Profile:
    """The profile of one quantity.

    Attributes:
        name: of the quantity.
        estimate: at the optimum.
        interval: where the profile stays below the level's threshold; infinite or zero ends
            where it never rises above it, which means that the data do not bound it there.
        level: of the interval.
        values, deviance: the profile itself: the quantity, and the scaled rise of the objective,
            which is compared with a chi-squared of one degree of freedom.
    """

    name: str
    estimate: float
    interval: Interval
    level: float
    values: tuple[float, ...]
    deviance: tuple[float, ...]


def profile(
    table: Table,
    quantity: str,
    *,
    law: LawLike = "chinchilla",
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    level: float = LEVEL,
    count: Count = "total",
    objective: str | None = None,
    fixed: Mapping[str, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Profile:
    """The profile likelihood of a constant, an exponent, an optimum or a predicted loss.

    `quantity` is a constant of the law, `a` or `b` (exponents of N_opt and D_opt in C),
    `params`, `tokens` or `frontier_loss` at the optimum of `flops`, or `loss` at `params` and
    `tokens`. The objective's rise is scaled by its own curvature and the residuals' spread
    (Schrader and Hettmansperger 1980), so that Huber's loss with a small delta is treated as
    what it is, nearly a sum of absolute values; for squares that is the Gaussian profile.
    `fixed` are constants that are held and `columns` names of columns, as in `fit`.

    Raises:
        InputError: an unknown quantity, one that is held, or one whose budget, size or tokens
            are missing; a fit that does not converge; an optimum in a C that is no product of
            powers of N and D.
    """
    form = find_law(law)
    chosen = form.default_objective if objective is None else objective_named(objective)
    rows = usable_rows(load_table(table, form, columns), count, form)
    at = _where(form, quantity, flops, params, tokens)
    if quantity in (*EXPONENTS, *AT_A_BUDGET):
        _require_powers(rows)
    fit = optimum(form, rows.variables, rows.response, rows.weight, objective=chosen, fixed=fixed)
    if quantity in form.names and not fit.free_P[form.names.index(quantity)]:
        raise InputError(f"{quantity} is held, so it has no profile: ask for another quantity")
    require_converged(form, fit, len(rows))
    found = _Follower(form, quantity, rows, fit, chosen, at).profile(level)
    in_logs = quantity not in EXPONENTS and (
        quantity not in form.names or quantity in form.positive
    )
    return _readable(quantity, found, level, in_logs)


def _where(
    law: Law, name: str, flops: float | None, params: float | None, tokens: float | None
) -> tuple[float, ...]:
    """The budget, or the size and tokens, that the quantity is taken at."""
    frontier = (*EXPONENTS, *AT_A_BUDGET, "loss") if law.frontier else ()
    if name not in (*law.names, *frontier):
        raise InputError(
            f"the law {law.name!r} has no quantity {name!r}"
            f"{suggestion(name, (*law.names, *frontier))}"
        )
    given = {"flops": flops} if name in AT_A_BUDGET else {"params": params, "tokens": tokens}
    if name in law.names or name in EXPONENTS:
        return ()
    for what, value in given.items():
        if value is None or not 0 < value < math.inf:
            raise InputError(f"the profile of {name!r} needs {what}, positive and finite: {value}")
    return tuple(float(value) for value in given.values() if value is not None)


def _require_powers(rows: Rows) -> None:
    """Refuse a profile of an optimum that has no closed form, along which it would be followed."""
    compute = rows.compute
    if compute.undetermined:
        raise InputError(compute.undetermined)
    if compute.offset:
        raise InputError(
            f"C is {compute.column}, {compute.relation}: exponents and optima have profiles where "
            "C is a product of powers of N and D alone; take the bootstrap's intervals, or leave "
            "the column out to take C = 6 N D"
        )


@dataclass(frozen=True)
class _Curve:
    """Quantity (less its centring) and deviance, ascending in the quantity; the estimate."""

    estimate: float
    values: np.ndarray
    deviance: np.ndarray
    low: float
    high: float


class _Follower:
    """Follows one quantity away from the optimum of one table."""

    def __init__(
        self,
        law: Law,
        name: str,
        rows: Rows,
        fit: PointFit,
        objective: Objective,
        at: tuple[float, ...],
    ) -> None:
        from scaling_jax.laws.uncertainty.profile_constraint import Quantity

        self._law, self._name, self._rows = law, name, rows
        of_frontier = isinstance(law, PowerSum) and name not in law.names
        power = rows.compute.power
        self._quantity = Quantity(name, law, power) if of_frontier else Quantity("linear")  # type: ignore[arg-type]
        self._fit, self._objective = fit, objective
        self._solver = parametrization(law, objective)
        self._point, self._shift = self._in_centred_logs(at)

    @in_float64
    def profile(self, level: float) -> _Curve:
        from scipy.stats import chi2

        threshold = float(chi2.ppf(level, 1)) * self._small_sample()
        estimate = self._quantity_at(self._fit.theta_P)
        ends, points = [], [(estimate, 0.0)]
        for side in (-1.0, 1.0):
            end, reached = self._end(self._origin(estimate), side, threshold)
            ends.append(end)
            points += reached
        values, deviance = np.array(sorted(points)).T
        shift = self._shift
        return _Curve(estimate + shift, values + shift, deviance, ends[0] + shift, ends[1] + shift)

    def _origin(self, estimate: float) -> float:
        """Where targets step out from: the optimum, or below where a vanished constant returns."""
        if self._name not in self._fit.vanished or self._name not in self._law.positive:
            return estimate
        returns = [self._quantity_at(theta_P) for theta_P in self._fit.starts_SxP[1:]]
        return max(estimate, min(returns, default=estimate) - _BELOW_RETURN)

    def _end(
        self, estimate: float, side: float, threshold: float
    ) -> tuple[float, list[tuple[float, float]]]:
        """Where the profile crosses the threshold on one side, and the points on the way."""
        offsets = _FIRST_STEP * 2.0 ** np.arange(_TARGETS)
        reached = self._at(estimate + side * offsets)
        points = list(reached)
        for _ in range(_REFINEMENTS):
            above = [q for q, d in points if d > threshold]
            if not above:
                return side * math.inf, points
            outer = min(above, key=lambda q: abs(q - estimate))
            nearer = [q for q, _ in points if abs(q - estimate) < abs(outer - estimate)]
            inner = max(nearer, key=lambda q: abs(q - estimate), default=estimate)
            points += self._at(np.linspace(inner, outer, _TARGETS + 2)[1:-1])
        below = [(q, d) for q, d in points if abs(q - estimate) <= abs(outer - estimate)]
        ordered = sorted(below, key=lambda point: abs(point[0] - estimate))
        q, d = np.array(ordered).T
        return float(np.interp(threshold, np.maximum.accumulate(d), q)), points

    def _at(self, targets_S: np.ndarray) -> list[tuple[float, float]]:
        """The quantity actually reached and its deviance, for each target."""
        from scaling_jax.laws.solver import newton
        from scaling_jax.laws.solver.problem import values_at
        from scaling_jax.laws.uncertainty.profile_constraint import ConstrainedModel

        plain = self._solver.problem
        problem = plain._replace(model=ConstrainedModel(plain.model, self._quantity))
        data = self._data()
        y_SxN = np.tile(data.y_N, (len(targets_S), 1))
        y_SxN[:, -1] = targets_S
        w_N = np.append(data.w_N[:-1], _WEIGHT)
        starts = self._fit.starts_SxP
        theta_SxP = newton.descend_from_each(problem, starts, data, y_SxN, w_N).theta_SxP
        rows = data._replace(inputs=data.inputs.rows, y_N=data.y_N[:-1], w_N=data.w_N[:-1])
        values_S = np.asarray(values_at(plain, theta_SxP, rows))
        reached = [self._quantity_at(theta) for theta in theta_SxP]
        rise_S = 2 * (values_S - self._fit.value) / self._scale()
        pairs = zip(reached, rise_S.tolist(), strict=True)
        return [(q, max(d, 0.0)) for q, d in pairs if math.isfinite(q) and math.isfinite(d)]

    def _data(self) -> Any:
        import jax
        import jax.numpy as jnp

        from scaling_jax.laws.solver.problem import Data
        from scaling_jax.laws.uncertainty.profile_constraint import Inputs

        rows = self._solver.inputs(self._rows.variables, self._fit.centre)
        inputs = Inputs(jax.tree.map(jnp.asarray, rows), jnp.asarray(self._point))
        y_N = jnp.asarray(np.append(self._solver.measured(self._rows.response), 0.0))
        w_N = jnp.asarray(np.append(self._rows.weight, 0.0))
        return Data(inputs, y_N, w_N, jnp.asarray(self._fit.free_P), pull(self._fit.prior))

    def _quantity_at(self, theta_P: np.ndarray) -> float:
        import jax.numpy as jnp

        return float(self._quantity(jnp.asarray(theta_P), jnp.asarray(self._point)))

    def _in_centred_logs(self, at: tuple[float, ...]) -> tuple[np.ndarray, float]:
        """The point of the quantity, and what brings it back to the table's own units."""
        law, centre = self._law, self._fit.centre
        if self._name in law.names:
            k = law.names.index(self._name)
            direction_P = np.eye(len(law.names))[k]
            if isinstance(law, PowerSum) and self._name in law.coefficients:
                direction_P -= law.design({n: np.array([v]) for n, v in centre.items()})[0][k]
                direction_P[k] = 1.0
            return direction_P, 0.0
        if self._name == "loss":
            n, d = np.log(at)
            return np.array([n - centre["params"], d - centre["tokens"]]), 0.0
        if self._name in AT_A_BUDGET:
            compute = self._rows.compute
            left = math.log(at[0] / compute.factor) - compute.power * centre["params"]
            left -= centre["tokens"]
            return np.array([left]), centre.get(self._name, 0.0)
        return np.zeros(1), 0.0

    def _scale(self) -> float:
        """Mean square of the penalty's slope over its mean curvature, at the residuals."""
        import jax.numpy as jnp

        r_N = -self._fit.residuals_N
        if self._solver.problem.objective.space == "loss":
            r_N = self._rows.response * np.expm1(r_N)
        slope_N = np.asarray(self._objective.slope(jnp.asarray(r_N)))
        if math.isinf(self._objective.delta):
            return float(np.mean(slope_N**2))
        # Beyond delta the curvature is nought, so its mean is the residuals' density near zero.
        width = 1.06 * _spread(r_N) * len(r_N) ** -0.2
        near = _normal_cdf((self._objective.delta - r_N) / width)
        far = _normal_cdf((-self._objective.delta - r_N) / width)
        return float(np.mean(slope_N**2) / np.mean(near - far))

    def _small_sample(self) -> float:
        n, p = len(self._rows), int(self._fit.free_P.sum())
        return n / (n - p) if n > p else math.inf


def _spread(r_N: np.ndarray) -> float:
    iqr = float(np.subtract(*np.quantile(r_N, [0.75, 0.25]))) / 1.349
    return max(min(float(r_N.std()), iqr) or float(r_N.std()), 1e-300)


def _normal_cdf(x_N: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    below_N: np.ndarray = ndtr(x_N)
    return below_N


def _readable(name: str, curve: _Curve, level: float, in_logs: bool) -> Profile:
    out = math.exp if in_logs else float

    def back(value: float) -> float:
        return math.inf if in_logs and value > _LARGEST_LOG else out(value)

    return Profile(
        name=name,
        estimate=back(curve.estimate),
        interval=(back(curve.low), back(curve.high)),
        level=level,
        values=tuple(map(back, curve.values.tolist())),
        deviance=tuple(curve.deviance.tolist()),
    )
