"""Sums of power-law terms in the solver: their parametrization, and starts in closed form."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.catalogue.power_sum import PowerSum
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.model import LEAST_SHARE, Revival
from scaling_jax.laws.solver.newton import at_once
from scaling_jax.laws.solver.problem import Data, Problem, solve_positive
from scaling_jax.laws.solver.term_sum import PowerOfSum, TermSum

# Starts of closed forms of a program, for every descent of one.
_STARTS_PER_DESCENT = 2

# Exponents that starts are laid out over. It is only a start: the descent may leave the range.
_LEAST_EXPONENT, _MOST_EXPONENT = 0.005, 10.0
# A finer grid has the lowest starts all in one place, and the search is the worse for it.
_STARTS, _LEAST_EACH = 400, 8
_OUTER_POWERS = (0.02, 2.0)
# Shares of the lowest loss, for the floor of a law whose floor stands outside a power.
_FLOORS = (0.01, 0.3, 0.6, 0.9)

# A floor with a smaller share changes no digit of a response that is printed.
_LOG_NOTHING = np.log(1e-12)
# Shares of the lowest loss at which a vanished term comes back, and the size of its exponents.
_REVIVED = (0.3, 0.5, 0.7)
_REVIVED_EXPONENT = 0.3

# With more exponents than this a grid is too coarse in each: a low-discrepancy sequence, of a
# power of two points, tells them apart better.
_MOST_AXES = 3
_SCATTERED = 2048


@dataclass(frozen=True)
class PowerSumSolver:
    """A sum's parametrization: logs of variables about their mean, coefficients in logs.

    In centred logs a coefficient is the size of its term in the middle of the data, which an
    exponent hardly moves. About the origin of the logs the two would be nearly collinear.
    """

    law: PowerSum
    objective: Objective

    @property
    def problem(self) -> Problem:
        """The model and the objective; laws with as many terms share compiled programs."""
        return Problem(model_of(self.law), self.objective)

    def centre(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The mean log of every variable."""
        return {name: float(np.log(values[name]).mean()) for name in self.law.variables}

    def inputs(self, values: Mapping[str, np.ndarray], centre: Mapping[str, float]) -> np.ndarray:
        """Gradients of the terms' logs, `NxKxP`."""
        logs = {name: np.log(values[name]) - centre[name] for name in self.law.variables}
        return self.law.design(logs)

    def measured(self, response: np.ndarray) -> np.ndarray:
        """Logs, in which a sum of terms has its closed form whatever the objective."""
        # A resampled response may be negative. Its log is not a number, and neither is its fit.
        with np.errstate(invalid="ignore", divide="ignore"):
            logs: np.ndarray = np.log(response)
        return logs

    def starts(self, held_P: np.ndarray, data: Data, least: float) -> np.ndarray:
        """A grid of exponents, with coefficients that solve least squares at each."""
        grid_SxQ, floor_S = _with_floors(self.law, _start_grid(self.law, held_P), least)
        size = min(len(grid_SxQ), _STARTS_PER_DESCENT * at_once(len(data.y_N)))
        starts = []
        for first in range(0, len(grid_SxQ), size):
            # The last part is filled up with the first starts: one size, one program.
            part = np.arange(first, first + size) % len(grid_SxQ)
            starts_SxP = closed_form_starts(
                grid_SxQ[part],
                data,
                n_terms=len(self.law.terms),
                outer=self.law.outer is not None,
                outside=self.law.outside,
                floor_S=floor_S[part],
            )
            starts.append(np.asarray(starts_SxP))
        return np.concatenate(starts)[: len(grid_SxQ)]

    def constants(self, theta_P: np.ndarray, centre: Mapping[str, float]) -> np.ndarray:
        """Coefficients and exponents in the variables' own units; floors of no size are zero."""
        constants_P: np.ndarray = self.law.constants(theta_P, centre)
        for k, term in enumerate(self.law.terms):
            if not term.powers:
                gone = theta_P[..., k] - self._log_others(theta_P, k) < _LOG_NOTHING
                constants_P[..., k] = np.where(gone, 0.0, constants_P[..., k])
        return constants_P

    def _log_others(self, theta_P: np.ndarray, k: int) -> np.ndarray:
        """Logarithm of what a floor is added to, in the middle of the data."""
        outside, n_terms = self.law.outside, len(self.law.terms)
        added: np.ndarray = np.logaddexp.reduce(theta_P[..., outside:n_terms], axis=-1)
        if not self.law.outer or k >= outside:
            return added
        with np.errstate(over="ignore"):
            powered: np.ndarray = np.exp(theta_P[..., -1]) * added
        return powered

    def vanished(self, gradient_NxP: np.ndarray, predicted_N: np.ndarray) -> tuple[int, ...]:
        """Terms whose share of the response, the gradient in their logarithm, is small in all."""
        share_K = np.abs(gradient_NxP).max(axis=0)[: len(self.law.terms)]
        return tuple(np.flatnonzero(share_K < LEAST_SHARE).tolist())

    def revivals(
        self, theta_P: np.ndarray, vanished: tuple[int, ...], least: float
    ) -> list[Revival]:
        """For each vanished term: the term at shares of the lowest loss, the others less by it."""
        return [Revival((k,), self._revived(theta_P, k, least)) for k in vanished]

    def _revived(self, theta_P: np.ndarray, k: int, least: float) -> np.ndarray:
        law, n_terms = self.law, len(self.law.terms)
        inside = np.arange(n_terms) >= law.outside
        power = np.exp(theta_P[-1]) if law.outer else 1.0
        share_R = np.array(_REVIVED)
        theta_RxP = np.tile(theta_P, (len(share_R), 1))
        # A sum that is raised to a power loses the share before that power is taken.
        if k < law.outside:
            theta_RxP[:, :n_terms] += np.log1p(-share_R)[:, None] * np.where(inside, 1 / power, 1)
            theta_RxP[:, k] = np.log(share_R * least)
        else:
            theta_RxP[:, :n_terms] += np.log1p(-share_R)[:, None] * inside
            theta_RxP[:, k] = np.log(share_R) + np.log(least) / power
        # Its exponents may be anything while the term is not there.
        rest = (*law.terms[:k], *law.terms[k + 1 :])
        others = {e for term in rest for p in term.powers.values() for e in p}
        for exponents in law.terms[k].powers.values():
            for name in exponents.keys() - others:
                theta_RxP[:, law.names.index(name)] = _REVIVED_EXPONENT
        return theta_RxP


def model_of(law: PowerSum) -> TermSum | PowerOfSum:
    """The solver's model of a sum of terms, or of a power of one."""
    return PowerOfSum(law.outside) if law.outer else TermSum()


@partial(jax.jit, static_argnames=("n_terms", "outer", "outside"))
def closed_form_starts(
    grid_SxQ: jax.Array,
    data: Data,
    *,
    n_terms: int,
    outer: bool = False,
    outside: int = 0,
    floor_S: jax.Array | None = None,
) -> jax.Array:
    """Starts `theta_SxP` from exponents: the coefficients solve least squares of relative errors.

    Every subset of terms is solved for, and the best one whose coefficients are all positive is
    kept; terms left out start at a thousandth of the mean loss. With an outer power, the last of
    each row of the grid is its logarithm, and the sum is fitted to the loss without it, less
    the start's `floor_S`, which the terms outside share.
    """
    u_KxNxP = jnp.swapaxes(data.inputs[:, outside:], 0, 1)
    subsets_MxK = jnp.asarray(_subsets(n_terms - outside))
    floor_S = jnp.zeros(len(grid_SxQ)) if floor_S is None else floor_S

    def start(exponents_Q: jax.Array, floor: jax.Array) -> jax.Array:
        loss_N = jnp.exp(data.y_N)
        if outer:
            loss_N = jnp.exp(jnp.log(loss_N - floor) / jnp.exp(exponents_Q[-1]))
        log_terms_KxN = u_KxNxP @ jnp.concatenate([jnp.zeros(n_terms), exponents_Q])
        # Columns are brought to unit size, or exponents far from zero would overflow the solve.
        top_K = log_terms_KxN.max(axis=1)
        x_KxN = jnp.exp(log_terms_KxN - top_K[:, None]) / loss_N
        gram_KxK = (x_KxN * data.w_N) @ x_KxN.T
        aim_K = x_KxN @ data.w_N

        def subset(mask_K: jax.Array) -> tuple[jax.Array, jax.Array]:
            kept_KxK = gram_KxK * mask_K[:, None] * mask_K
            ridge_KxK = jnp.diag(1 - mask_K + 1e-12 * jnp.diag(gram_KxK))
            c_K = solve_positive(kept_KxK + ridge_KxK, aim_K * mask_K) * mask_K
            rss = c_K @ gram_KxK @ c_K - 2 * aim_K @ c_K
            return c_K, jnp.where((c_K >= 0).all() & jnp.isfinite(rss), rss, jnp.inf)

        c_MxK, rss_M = jax.vmap(subset)(subsets_MxK)
        c_K = jnp.log(jnp.maximum(c_MxK[jnp.argmin(rss_M)], 1e-3 * loss_N.mean()))
        floors = jnp.full(outside, jnp.log(floor / max(outside, 1)))
        return jnp.concatenate([floors, c_K - top_K, exponents_Q])

    return jax.vmap(start)(grid_SxQ, floor_S)


def _subsets(n_terms: int) -> np.ndarray:
    masks = np.arange(1, 2**n_terms)[:, None] >> np.arange(n_terms) & 1
    return masks.astype(np.float64)


def _with_floors(
    law: PowerSum, grid_SxQ: np.ndarray, least_loss: float
) -> tuple[np.ndarray, np.ndarray]:
    """The grid once for each floor to start from, where a law has terms outside a power."""
    if not law.outside:
        return grid_SxQ, np.zeros(len(grid_SxQ))
    repeated = np.repeat(grid_SxQ, len(_FLOORS), axis=0)
    return repeated, np.tile(np.array(_FLOORS) * least_loss, len(grid_SxQ))


def _start_grid(law: PowerSum, held_P: np.ndarray) -> np.ndarray:
    """Combinations of exponents to start from; those held stand at their values."""
    held_Q = held_P[len(law.terms) :]
    n_free = max(1, int(np.isnan(held_Q).sum()))
    if n_free > _MOST_AXES and not law.outer:
        return _scattered_grid(held_Q)
    n_each = max(_LEAST_EACH, round(_STARTS ** (1 / n_free)))
    axis = np.geomspace(_LEAST_EXPONENT, _MOST_EXPONENT, n_each)
    axes = [axis if np.isnan(q) else np.array([q]) for q in held_Q]
    if law.outer and np.isnan(held_Q[-1]):
        axes[-1] = np.log(np.geomspace(*_OUTER_POWERS, n_each))
    return np.array(list(itertools.product(*axes)))


def _scattered_grid(held_Q: np.ndarray) -> np.ndarray:
    from scipy.stats import qmc

    free_Q = np.isnan(held_Q)
    unit_SxF = qmc.Sobol(int(free_Q.sum()), rng=0).random(_SCATTERED)
    grid_SxQ = np.tile(held_Q, (_SCATTERED, 1))
    grid_SxQ[:, free_Q] = _LEAST_EXPONENT * (_MOST_EXPONENT / _LEAST_EXPONENT) ** unit_SxF
    return grid_SxQ
