"""Fits of one sum of powers to many weightings of the same rows, as one batch of descents.

A search from hundreds of starts for every weighting would cost more than the answer is worth: with
priors of the constants the objective has few optima, and the best of a coarse grid lead to them.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.catalogue.power_sum import PowerSum
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.priors import Priors
from scaling_jax.laws.solver import newton
from scaling_jax.laws.solver.power_sum import PowerSumSolver, closed_form_starts
from scaling_jax.laws.solver.problem import Data, Problem, Pull, values_at
from scaling_jax.laws.solver.scaled_prior import per_nat
from scaling_jax.laws.solver.search import leverages, padded

_EXPONENTS, _POWERS, _FLOORS = (0.2, 0.4, 0.8), (0.35, 0.6, 1.0), (0.3, 0.6, 0.85)
_STARTS = len(_EXPONENTS) ** 2 * len(_POWERS) * len(_FLOORS)
_TRIED = 3
_NOTHING = 1e-12  # of the lowest response: a floor that is held at zero


@dataclass(frozen=True)
class Weighted:
    """One law on one table under several weightings, which `fits` and `resampled` fit.

    Attributes:
        law: a sum of a floor and a power of a sum of two terms, such as `skaling`.
        values: the law's variables.
        response_N: what was measured.
        objective: what is minimized.
        priors: of the law's constants.
        held: constants that are held: the floor, which may be zero, exponents or the power.
    """

    law: PowerSum
    values: Mapping[str, np.ndarray]
    response_N: np.ndarray
    objective: Objective
    priors: Priors
    held: Mapping[str, float]

    @in_float64
    def fits(self, weights_BxN: np.ndarray, least: float, noise_B: np.ndarray) -> np.ndarray:
        """Optima `theta_BxP` for every weighting; `constants` makes constants of them.

        Args:
            weights_BxN: weights of the rows.
            least: the lowest response that counts, which relative priors are a share of.
            noise_B: robust standard deviation of each fit's residuals, for the priors' weight.
        """
        data, w_BxN = self._data(weights_BxN)
        prior_B = self._priors(least, noise_B)
        starts_SxP = self._starts(data, least)
        values_BxS = self._values(starts_SxP, data, w_BxN, prior_B)
        order_BxS = np.argsort(np.where(np.isfinite(values_BxS), values_BxS, np.inf), axis=1)
        # Starts that are repeated have equal values, and follow one another.
        distinct = _STARTS // len(np.unique(starts_SxP, axis=0))
        chosen_BxS = order_BxS[:, : _TRIED * distinct : distinct]
        first_S = starts_SxP[chosen_BxS].reshape(-1, starts_SxP.shape[1])
        ends = newton.descend(
            self._solver.problem,
            first_S,
            data,
            w_SxN=np.repeat(w_BxN, _TRIED, axis=0),
            prior_S=Pull(*(np.repeat(x, _TRIED, axis=0) for x in prior_B)),
        )
        value_BxS = np.where(np.isnan(ends.value_S), np.inf, ends.value_S).reshape(-1, _TRIED)
        theta_BxSxP = ends.theta_SxP.reshape(*value_BxS.shape, -1)
        lowest: np.ndarray = theta_BxSxP[np.arange(len(w_BxN)), value_BxS.argmin(axis=1)]
        return lowest

    @in_float64
    def resampled(
        self,
        theta_BxP: np.ndarray,
        weights_BxN: np.ndarray,
        response_BxN: np.ndarray,
        least: float,
        noise_B: np.ndarray,
        resample_B: np.ndarray,
    ) -> np.ndarray:
        """Optima of resamples, each descended to from its own `theta_P`, priors drawn.

        Fits of one resample, which `resample_B` numbers, have the same draw of the priors.
        """
        mean_BxP, precision_BxP = self._priors(least, noise_B)
        spread_P = self._prior(least)[1]
        shape = (resample_B.max() + 1, len(spread_P))
        normal_BxP = np.random.default_rng(0).standard_normal(shape)[resample_B]
        drawn_BxP = mean_BxP + np.where(np.isfinite(spread_P), spread_P, 0.0) * normal_BxP
        prior_B = Pull(drawn_BxP, precision_BxP)
        return self._descended(theta_BxP, weights_BxN, response_BxN, prior_B)

    @in_float64
    def refitted(
        self,
        theta_BxP: np.ndarray,
        weights_BxN: np.ndarray,
        response_BxN: np.ndarray,
        least: float,
        noise_B: np.ndarray,
    ) -> np.ndarray:
        """Optima of other responses, each descended to from its own `theta_P`."""
        prior_B = self._priors(least, noise_B)
        return self._descended(theta_BxP, weights_BxN, response_BxN, prior_B)

    def _descended(
        self,
        theta_BxP: np.ndarray,
        weights_BxN: np.ndarray,
        response_BxN: np.ndarray,
        prior_B: Pull,
    ) -> np.ndarray:
        data, w_BxN = self._data(weights_BxN)
        y_BxN = padded(data.inputs, np.log(response_BxN).T, weights_BxN.T)[1].T
        ends = newton.descend(self._solver.problem, theta_BxP, data, y_BxN, w_BxN, prior_S=prior_B)
        return ends.theta_SxP

    def constants(self, theta_BxP: np.ndarray) -> np.ndarray:
        """Constants from `theta`, a floor that is held at zero exactly so."""
        constants_BxP = self.law.constants(theta_BxP, self._centre)
        for name, value in self.held.items():
            constants_BxP[..., self.law.names.index(name)] = value
        return constants_BxP

    @in_float64
    def leverage(
        self, theta_P: np.ndarray, weights_N: np.ndarray, least: float, noise: float
    ) -> np.ndarray:
        """Share of each row's value that least squares would fit to the row itself."""
        data = self._data(weights_N[None])[0]
        gradient_NxP = np.asarray(_gradients(self._solver.problem, theta_P, data))
        spread_P = np.where(data.free_P > 0, self._prior(least)[1], np.inf)
        found_N = leverages(gradient_NxP[: len(weights_N)], weights_N, (noise / spread_P) ** 2)
        return found_N

    @property
    def _solver(self) -> PowerSumSolver:
        return PowerSumSolver(self.law, self.objective)

    @property
    def _centre(self) -> dict[str, float]:
        return self._solver.centre(self.values)

    def _data(self, weights_BxN: np.ndarray) -> tuple[Data, np.ndarray]:
        inputs = self._solver.inputs(self.values, self._centre)
        inputs, log_N, w_NxB = padded(inputs, np.log(self.response_N), weights_BxN.T)
        is_free = np.array([float(name not in self.held) for name in self.law.names])
        arrays = (inputs, log_N, w_NxB.mean(axis=1), is_free)
        on_device, y_N, w_N, free_P = [jnp.asarray(array) for array in arrays]
        return Data(on_device, y_N, w_N, free_P), w_NxB.T

    def _prior(self, least: float) -> tuple[np.ndarray, np.ndarray]:
        known = {name: prior for name, prior in self.priors.items() if name not in self.held}
        return self.law.prior_theta(known, least)

    def _priors(self, least: float, noise_B: np.ndarray) -> Pull:
        mean_P, spread_P = self._prior(least)
        nat_B = np.array([per_nat(noise, self.objective) for noise in noise_B])
        shape = (len(noise_B), len(mean_P))
        return Pull(np.broadcast_to(mean_P, shape), nat_B[:, None] / spread_P**2)

    def _values(
        self, starts_SxP: np.ndarray, data: Data, w_BxN: np.ndarray, prior_B: Pull
    ) -> np.ndarray:
        """The objective of every start under every weighting, `BxS`."""
        # One weighting after the other: one program for any number of them, and little memory.
        found = []
        for b, w_N in enumerate(w_BxN):
            own = data._replace(w_N=w_N, prior=Pull(*(x[b] for x in prior_B)))
            found.append(np.asarray(values_at(self._solver.problem, starts_SxP, own)))
        return np.array(found)

    def _starts(self, data: Data, least: float) -> np.ndarray:
        law = self.law
        floor_name, power_name = law.terms[0].coefficient, str(law.outer)
        names = (*law.exponents[:2], power_name, floor_name)
        free = (_EXPONENTS, _EXPONENTS, _POWERS, tuple(share * least for share in _FLOORS))
        # A floor held at zero is one that adds nothing, since the solver has its logarithm.
        held = {floor_name: max(self.held.get(floor_name, 0.0), _NOTHING * least)}
        axes = [
            ({**self.held, **held}[name],) if name in self.held else axis
            for name, axis in zip(names, free, strict=True)
        ]
        # Repeated up to one number of starts for any constants held, so that programs are shared.
        grid_Sx4 = np.resize(np.array(list(itertools.product(*axes))), (_STARTS, 4))
        starts_SxP = closed_form_starts(
            np.column_stack([grid_Sx4[:, :2], np.log(grid_Sx4[:, 2])]),
            data,
            n_terms=len(law.terms),
            outer=True,
            outside=1,
            floor_S=grid_Sx4[:, 3],
        )
        return np.asarray(starts_SxP)


@partial(jax.jit, static_argnames=("problem",))
def _gradients(problem: Problem, theta_P: jax.Array, data: Data) -> jax.Array:
    gradient_NxP: jax.Array = jax.jacfwd(problem.model.log_loss)(theta_P, data.inputs)
    return gradient_NxP * data.free_P
