"""One form of the law fitted to losses whose misfit is correlated: constants, noise and evidence.

With the misfit a Gaussian process and a run's noise by Student's t, the constants are found by
generalized least squares at each of a grid of sizes of misfit and noise. Every grid point is a
component; the evidence of the rows weighs them (Laplace's approximation in the constants; MacKay
1992, Neural Computation 4, 415). What is known of constants beside the rows are their priors.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.catalogue.linearized import log_losses
from scaling_jax.laws.extrapolation.candidates import Form
from scaling_jax.laws.extrapolation.misfit import Features
from scaling_jax.laws.priors import Prior
from scaling_jax.laws.tables.select import Rows

# Log-normal priors of the misfit's deviation on the frontier and of the noise, in log loss, and
# where their grids lie, in deviations of the priors.
_MISFIT, _MISFIT_SPREAD = 0.008, 0.5
_NOISE, _NOISE_SPREAD = 0.003, 1.0
_MISFITS = (-1.5, -0.5, 0.5, 1.5)
_NOISES = (-1.0, -0.2, 0.6, 1.4, 2.2)
# Degrees of freedom of the noise: single runs may lie far off.
_FREEDOM = 4.0
# The 95th percentile of that t over a normal's.
NORMAL_PER_SCALE = 2.1318 / 1.6449
# A coefficient is this share of the least loss at the largest size and horizon, give or take a
# factor of 20: a prior that keeps the search where numbers are.
_COEFFICIENT, _COEFFICIENT_SPREAD = 0.2, 3.0
_MOST_REWEIGHTINGS, _MOST_STEPS, _LONGEST_STEP = 16, 2, 1.0
_SETTLED, _GAIN = 0.05, 1e-4  # of weights, in logs, and of the log likelihood
_NOTHING = 1e-12  # of the least loss: a floor that is held at zero
# Exponents enter by their logarithms.
_IS_EXPONENT_P = np.isin(SKALING.names, ("alpha", "beta"))


@dataclass(frozen=True)
class Component:
    """The law at one size of misfit and of noise.

    Attributes:
        theta_F: free constants, in logarithms.
        covariance_FxF: of their error, that of the misfit included.
        misfit: the misfit's deviation on the frontier, in log loss.
        noise: scale of the noise, in log loss.
        residual_N: what is left of each row's log loss by law and misfit.
        variance_N: of the noise of each row, which the weights of rows divide.
        gain_FxN: how the constants move with the log losses of the rows.
        lift_M: the misfit's mean, by the features' columns.
        spread_MxM: Cholesky factor of the inverse of the columns' covariance given the rows.
        cross_MxF: how the misfit's mean moves with the constants.
        log_evidence: of the rows, up to a constant.
    """

    theta_F: np.ndarray
    covariance_FxF: np.ndarray
    misfit: float
    noise: float
    residual_N: np.ndarray
    variance_N: np.ndarray
    gain_FxN: np.ndarray
    lift_M: np.ndarray
    spread_MxM: np.ndarray
    cross_MxF: np.ndarray
    log_evidence: float


@dataclass(frozen=True)
class FormOnRows:
    """A form on a table: the law's logs as a function of its free constants, and their priors.

    Losses are counted in units of the least one, so that the fit is the same in any unit.

    Attributes:
        form: the law with priors and constants held.
        least: the least loss.
        centre: logarithms that variables are counted from.
        held_P: theta of the constants that are held; NaN for those that are free.
        mean_F: of the priors of the free constants.
        spread_F: of the priors.
    """

    form: Form
    least: float
    centre: dict[str, float]
    held_P: np.ndarray
    mean_F: np.ndarray
    spread_F: np.ndarray

    @property
    def free_P(self) -> np.ndarray:
        """Which constants are fitted."""
        is_free_P: np.ndarray = np.isnan(self.held_P)
        return is_free_P

    def theta(self, free_F: np.ndarray) -> np.ndarray:
        """All constants as `theta_P` of the law."""
        theta_P = np.broadcast_to(self.held_P, (*free_F.shape[:-1], len(self.held_P))).copy()
        theta_P[..., self.free_P] = free_F
        is_log_P = self.free_P & _IS_EXPONENT_P
        theta_P[..., is_log_P] = np.exp(theta_P[..., is_log_P])
        return np.asarray(theta_P)

    def constants(self, free_F: np.ndarray) -> np.ndarray:
        """The law's constants, on the last axis; those that are held exactly so."""
        constants_P = SKALING.constants(self.theta(free_F), self.centre)
        # A sum that is raised to a power k has terms in units of the loss to the power 1 / k.
        inner = 1 / constants_P[..., SKALING.names.index("k")]
        for name, power in (("E", 1.0), ("A", inner), ("B", inner)):
            constants_P[..., SKALING.names.index(name)] *= self.least**power
        for name, value in self.form.held.items():
            constants_P[..., SKALING.names.index(name)] = value
        return constants_P

    def log_loss(self, free_F: np.ndarray, u_NxKxP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log losses in units of the least, and their gradients `NxF`, from `design` of runs."""
        theta_P = self.theta(free_F)
        with np.errstate(all="ignore"):
            log_N, slope_NxP = log_losses(SKALING, theta_P, u_NxKxP)
        times_P = np.where(_IS_EXPONENT_P, theta_P, 1.0)
        return log_N, (slope_NxP * times_P)[:, self.free_P]

    def design(self, params_N: np.ndarray, tokens_N: np.ndarray) -> np.ndarray:
        """Gradients `NxKxP` of the terms' logs, which `log_loss` takes."""
        logs = {"params": np.log(params_N), "tokens": np.log(tokens_N)}
        return SKALING.design({name: log - self.centre[name] for name, log in logs.items()})


def on_rows(form: Form, rows: Rows, seen_N: np.ndarray) -> FormOnRows:
    """The form with its constants' priors in the units of a table's rows that are fitted.

    Raises:
        InputError: an exponent's prior whose centre is not positive.
    """
    least = float(rows.loss[seen_N].min())
    centre = {n: float(np.log(rows.variables[n][seen_N]).max()) for n in SKALING.variables}
    held_P = np.full(len(SKALING.names), np.nan)
    mean, spread = [], []
    for p, name in enumerate(SKALING.names):
        if name in form.held:
            held_P[p] = _held(name, form.held[name], least)
            continue
        prior = form.priors.get(name)
        at, width = _COEFFICIENT, _COEFFICIENT_SPREAD
        if prior is not None:
            at, width = _of(name, prior, least)
        mean.append(math.log(at))
        spread.append(width)
    return FormOnRows(form, least, centre, held_P, np.array(mean), np.array(spread))


def components(
    law: FormOnRows, rows: Rows, columns: Features, seen_N: np.ndarray
) -> tuple[Component, ...]:
    """The law fitted to the rows seen, at every size of misfit and of noise.

    Args:
        law: the form.
        rows: of the table.
        columns: of the rows seen.
        seen_N: which rows.
    """
    search = _search(law, rows, columns, seen_N)
    found: list[Component] = []
    start_F = at_usual_sizes(law, rows, columns, seen_N).theta_F
    for at_misfit, at_noise in itertools.product(_MISFITS, _NOISES):
        component = search.at(
            _MISFIT * math.exp(_MISFIT_SPREAD * at_misfit),
            _NOISE * math.exp(_NOISE_SPREAD * at_noise),
            math.log(law.form.share) - (at_misfit**2 + at_noise**2) / 2,
            start_F if at_noise == _NOISES[0] else found[-1].theta_F,
        )
        found.append(component)
    return tuple(found)


def at_usual_sizes(law: FormOnRows, rows: Rows, columns: Features, seen_N: np.ndarray) -> Component:
    """The law fitted with the misfit and the noise that tables usually have."""
    return _search(law, rows, columns, seen_N).at(_MISFIT, _NOISE, 0.0, law.mean_F)


def _search(law: FormOnRows, rows: Rows, columns: Features, seen_N: np.ndarray) -> "_Search":
    return _Search(
        law,
        law.design(rows.params[seen_N], rows.tokens[seen_N]),
        np.log(rows.loss[seen_N] / law.least),
        rows.weight[seen_N] / rows.weight[seen_N].max(),
        columns,
    )


@dataclass(frozen=True)
class _Search:
    law: FormOnRows
    u_NxKxP: np.ndarray
    log_loss_N: np.ndarray
    weight_N: np.ndarray
    columns: Features

    def at(self, misfit: float, noise: float, log_prior: float, start_F: np.ndarray) -> Component:
        """The optimum by reweighted least squares, and what is known about it."""
        theta_F, times_N = start_F, np.ones(len(self.log_loss_N))
        for _ in range(_MOST_REWEIGHTINGS):
            solver = _Whitened(self.columns, misfit, noise**2 / (times_N * self.weight_N))
            theta_F, value, gained = self._descended(solver, theta_F)
            log_N, slope_NxF = self.law.log_loss(theta_F, self.u_NxKxP)
            left_N = solver.variance_N * solver.solved(self.log_loss_N - log_N)
            # Rows far off count less: the reweighting of Student's t.
            square_N = left_N**2 * self.weight_N / noise**2
            again_N = (_FREEDOM + 1) / (_FREEDOM + square_N)
            is_settled = gained < _GAIN and np.abs(np.log(again_N / times_N)).max() < _SETTLED
            times_N = again_N
            if is_settled:
                break
        solved_NxF = solver.solved(slope_NxF)
        precision_FxF = slope_NxF.T @ solved_NxF + np.diag(self.law.spread_F**-2)
        covariance_FxF = np.linalg.inv(precision_FxF)
        occam = np.linalg.slogdet(precision_FxF)[1] + 2 * np.log(self.law.spread_F).sum()
        of_times = _FREEDOM / 2 * np.sum(np.log(times_N) - times_N + 1)
        # A row of little weight says as little of the size of the noise.
        of_weights = math.log(noise) * np.sum(1 - self.weight_N)
        return Component(
            theta_F=theta_F,
            covariance_FxF=covariance_FxF,
            misfit=misfit,
            noise=noise,
            residual_N=left_N,
            variance_N=noise**2 / (times_N * self.weight_N),
            gain_FxN=covariance_FxF @ solved_NxF.T,
            lift_M=solver.lift(self.log_loss_N - log_N),
            spread_MxM=solver.factor_MxM,
            cross_MxF=solver.lift(slope_NxF),
            log_evidence=log_prior
            - value
            - (solver.log_determinant + occam) / 2
            + of_times
            + of_weights,
        )

    def _descended(
        self, solver: "_Whitened", theta_F: np.ndarray
    ) -> tuple[np.ndarray, float, float]:
        """A few Gauss-Newton steps, damped until each lowers the objective.

        Returns:
            Where they end, the objective there, and what the last of them lowered it by.
        """
        damping, gained, precision_F = 1e-6, 0.0, self.law.spread_F**-2
        value = self._value(solver, theta_F)
        for _ in range(_MOST_STEPS):
            log_N, slope_NxF = self.law.log_loss(theta_F, self.u_NxKxP)
            solved_NxF = solver.solved(slope_NxF)
            normal_FxF = slope_NxF.T @ solved_NxF + np.diag(precision_F)
            downhill_F = solved_NxF.T @ (self.log_loss_N - log_N)
            downhill_F -= precision_F * (theta_F - self.law.mean_F)
            while True:
                damped_FxF = normal_FxF + damping * np.diag(np.diag(normal_FxF))
                step_F = np.linalg.solve(damped_FxF, downhill_F)
                step_F = np.clip(step_F, -_LONGEST_STEP, _LONGEST_STEP)
                lower = self._value(solver, theta_F + step_F)
                if lower <= value or damping > 1e8:
                    break
                damping *= 10
            if not lower <= value:
                return theta_F, value, 0.0
            theta_F, value, gained = theta_F + step_F, lower, value - lower
            damping = max(damping / 5, 1e-8)
            if gained < _GAIN:
                break
        return theta_F, value, gained

    def _value(self, solver: "_Whitened", theta_F: np.ndarray) -> float:
        off_N = self.log_loss_N - self.law.log_loss(theta_F, self.u_NxKxP)[0]
        if not np.isfinite(off_N).all():
            return math.inf
        pull_F = (theta_F - self.law.mean_F) / self.law.spread_F
        return float(off_N @ solver.solved(off_N) + pull_F @ pull_F) / 2


class _Whitened:
    """The covariance `misfit^2 (columns columns' + diag(rest)) + diag(noise)`, factored."""

    def __init__(self, columns: Features, misfit: float, noise_N: np.ndarray) -> None:
        self.columns_NxM = misfit * columns.columns_NxM
        self.variance_N = noise_N + misfit**2 * columns.rest_N
        scaled_NxM = self.columns_NxM / self.variance_N[:, None]
        inner_MxM = np.eye(scaled_NxM.shape[1]) + self.columns_NxM.T @ scaled_NxM
        self.factor_MxM = np.linalg.cholesky(inner_MxM)
        logs = np.log(np.diag(self.factor_MxM)).sum()
        self.log_determinant = float(np.log(self.variance_N).sum() + 2 * logs)

    def lift(self, off: np.ndarray) -> np.ndarray:
        """The mean of the columns' coefficients given what rows are off by."""
        from scipy.linalg import cho_solve

        by_variance = (off.T / self.variance_N).T
        towards = self.columns_NxM.T @ by_variance
        lifted: np.ndarray = cho_solve((self.factor_MxM, True), towards, check_finite=False)
        return lifted

    def solved(self, off: np.ndarray) -> np.ndarray:
        """The inverse covariance times what rows are off by (Woodbury's identity)."""
        found: np.ndarray = ((off - self.columns_NxM @ self.lift(off)).T / self.variance_N).T
        return found


def _held(name: str, value: float, least: float) -> float:
    """A constant that is held, as theta; a floor in units of the least loss."""
    if name not in SKALING.positive:
        return value
    return math.log(max(value / least if name == "E" else value, _NOTHING))


def _of(name: str, prior: Prior, least: float) -> tuple[float, float]:
    """Centre of a prior, the floor's in units of the least loss, and deviation of its logarithm."""
    centre = prior.centre / least if name == "E" and not prior.relative else prior.centre
    if not centre > 0:
        raise InputError(
            f"the prior's centre {centre:g} of {name} must be positive: name a law, such as "
            "`law='skaling'`, for exponents of any sign"
        )
    return centre, prior.spread if name in SKALING.positive else prior.spread / centre
