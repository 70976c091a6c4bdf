"""The curve of a profile: one quantity followed away from the optimum of one table."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.laws.catalogue import Law, PowerSum
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.optimum import PointFit, parametrization, pull
from scaling_jax.laws.tables.select import Rows

AT_A_BUDGET = ("params", "tokens", "frontier_loss")

# Targets step outward from the optimum by factors of two this many to each side, as
# far as 13 in an exponent or a logarithm: beyond, the data are taken not to bound it.
_TARGETS = 18
_FIRST_STEP = 1e-4
_REFINEMENTS = 2
_WEIGHT = 1e4
# A vanished constant a thousandth of the size that it returns at changes nothing yet.
_BELOW_RETURN = math.log(1e3)


@dataclass(frozen=True)
class Curve:
    """Quantity (less its centring) and deviance, ascending in the quantity; the estimate."""

    estimate: float
    values: np.ndarray
    deviance: np.ndarray
    low: float
    high: float


class Follower:
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
    def profile(self, level: float) -> Curve:
        """The curve on both sides, to where it rises above the threshold of the level."""
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
        return Curve(estimate + shift, values + shift, deviance, ends[0] + shift, ends[1] + shift)

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
