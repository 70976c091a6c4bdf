"""Laws of other forms that the same losses would suggest: what a fit may not be able to rule out.

The other laws are `L = E + (A N^-alpha + B D^-beta)^k` (Videau et al. 2026, arXiv 2608.07222), with
k of 0.4, 0.7 and 1, and without a floor with any k of 0.1 to 1. Measured grids have k of 0.3 to
0.9, and their floors are near zero where k is small. Each law is laid as close to the assumed law
as its form allows over the runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.allocation import frontier_names
from scaling_jax.laws.catalogue import SKALING, PowerSum
from scaling_jax.laws.catalogue.linearized import centre_of, log_losses
from scaling_jax.laws.form_error import Simulated

_POWERS = (0.4, 0.7, 1.0)
# Share of the least loss.
_FIRST_FLOOR = 0.1
_LEAST_POWER = 0.1
# Where k is free, the search for it starts here.
_FIRST_POWER = 0.5
_MOST_EVALUATIONS = 400
_LEAST, _MOST_LOG = 1e-300, 600.0
# Stands for a log loss that overflowed, from which a search turns back.
_FAR = 1e3


@dataclass(frozen=True)
class Nearest:
    """The law of a form that is nearest to given losses.

    Attributes:
        constants_P: the law's constants.
        misfit: root mean square of the rows' differences in log loss.
    """

    constants_P: np.ndarray
    misfit: float


def nearest(
    form: PowerSum,
    values: Mapping[str, np.ndarray],
    log_loss_N: np.ndarray,
    start_P: np.ndarray,
    held: tuple[str, ...] = (),
) -> Nearest:
    """The law of a form whose log losses differ least from the given ones, in least squares.

    Args:
        form: the form.
        values: params and tokens of every row.
        log_loss_N: what to meet.
        start_P: constants that the search starts at; a coefficient of zero is none if held.
        held: names of constants that stay as they start.
    """
    from scipy.optimize import least_squares

    centre = centre_of(form, values)
    u_NxKxP = form.design({name: np.log(values[name]) - centre[name] for name in form.variables})
    theta_P = form.theta(start_P, centre)
    is_free_P = np.array([name not in held for name in form.names])

    def at(free_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta_P[is_free_P] = free_F
        with np.errstate(all="ignore"):
            log_N, slopes_NxP = log_losses(form, theta_P, u_NxKxP)
        return (
            np.clip(np.nan_to_num(log_N - log_loss_N, nan=_FAR), -_FAR, _FAR),
            np.nan_to_num(slopes_NxP[:, is_free_P], posinf=_FAR, neginf=-_FAR),
        )

    enough = len(log_loss_N) >= is_free_P.sum()
    found = least_squares(
        lambda free_F: at(free_F)[0],
        theta_P[is_free_P],
        jac=lambda free_F: at(free_F)[1],
        x_scale="jac",
        method="lm" if enough else "trf",
        max_nfev=_MOST_EVALUATIONS,
    )
    theta_P[is_free_P] = found.x
    misfit = float(np.sqrt(np.mean(at(found.x)[0] ** 2)))
    return Nearest(form.constants(theta_P, centre), misfit)


def without_floor(
    form: PowerSum,
    constants_P: np.ndarray,
    values: Mapping[str, np.ndarray],
    power: float | None = None,
) -> Nearest:
    """The nearest law without a floor to an assumed one: with a given k, or any of 0.1 to 1."""
    log_loss_N = np.log(form.value(constants_P, values))
    floor, centre = _named(form, constants_P).get("E", 0.0), centre_of(form, values)
    reducible = 1 - floor / float(np.exp(log_loss_N.mean()))
    k = _FIRST_POWER if power is None else power
    alpha, beta = (reducible * exponent / k for exponent in _slopes_of(form, constants_P))
    # Both terms are equal at the centre, where their sum is to meet the losses.
    log_term = log_loss_N.mean() / k - np.log(2)
    a, b = _finite(log_term + alpha * centre["params"]), _finite(log_term + beta * centre["tokens"])
    start_P = np.array([0.0, a, b, alpha, beta, k])
    held = ("E",) if power is None else ("E", "k")
    found = nearest(SKALING, values, log_loss_N, start_P, held)
    free = float(found.constants_P[-1])
    # Powers far from those of measured grids are of no truth.
    bounded = min(max(free, _LEAST_POWER), 1.0)
    if bounded == free or power is not None:
        return found
    return without_floor(form, constants_P, values, bounded)


def other_laws(
    form: PowerSum, constants_P: np.ndarray, values: Mapping[str, np.ndarray]
) -> tuple[Nearest, ...]:
    """The laws of other forms nearest to an assumed one, as constants of `skaling`.

    Args:
        form: of the assumed law, of size and data with a frontier.
        constants_P: the assumed law's constants.
        values: params and tokens of every run.
    """
    log_loss_N = np.log(form.value(constants_P, values))
    constants = _named(form, constants_P)
    alpha, beta = _slopes_of(form, constants_P)
    _, _, a_name, b_name = frontier_names(form)
    power, found = constants[form.outer] if form.outer else 1.0, []
    for k in _POWERS:
        # Each term alone, raised to k, is the assumed law's.
        logs = (np.log(max(constants[name], _LEAST)) for name in (a_name, b_name))
        a, b = (_finite(power / k * log) for log in logs)
        start_P = np.array([constants.get("E", 0.0) / 2, a, b, alpha / k, beta / k, k])
        found.append(nearest(SKALING, values, log_loss_N, start_P, held=("k",)))
    return (*found, without_floor(form, constants_P, values))


def hidden_share(noise: float, misfit: float) -> float:
    """How much of an error counts where the truth leaves a misfit beside the noise of a run.

    Residuals above the noise would show that the runs follow another law; then only a part counts,
    as small as the noise is to the misfit. A smaller misfit shows in nothing.
    """
    return min(1.0, noise / misfit) if misfit else 1.0


def refitted(
    form: PowerSum,
    constants_P: np.ndarray,
    values: Mapping[str, np.ndarray],
    noise: float,
    held: tuple[str, ...] = (),
) -> tuple[Simulated, ...]:
    """An assumed law's form fitted to the losses, without noise, of each other law.

    Args:
        form: of the assumed law, of size and data with a frontier.
        constants_P: the assumed law's constants.
        values: params and tokens of every run.
        noise: standard deviation of a run's log loss.
        held: constants that the fit holds.
    """
    # A search does not leave a floor of zero by itself.
    floor = _FIRST_FLOOR * float(form.value(constants_P, values).min())
    is_zero_P = (np.array(form.names) == "E") & (constants_P == 0) & ("E" not in held)
    start_P = np.where(is_zero_P, floor, constants_P)
    found = []
    for truth in other_laws(form, constants_P, values):
        log_loss_N = np.log(SKALING.value(truth.constants_P, values))
        fitted = nearest(form, values, log_loss_N, start_P, held)
        found.append(simulated(truth, fitted.constants_P, noise))
    return tuple(found)


def simulated(truth: Nearest, fitted_P: np.ndarray, noise: float) -> Simulated:
    """A fit to the losses of another law."""
    share = hidden_share(noise, truth.misfit)
    return Simulated(tuple(truth.constants_P.tolist()), tuple(fitted_P.tolist()), share)


def _named(form: PowerSum, constants_P: np.ndarray) -> dict[str, float]:
    return dict(zip(form.names, np.asarray(constants_P).tolist(), strict=True))


def _slopes_of(form: PowerSum, constants_P: np.ndarray) -> tuple[float, float]:
    """Exponents with which the terms of N and D fall, outer power included."""
    alpha, beta, _, _ = frontier_names(form)
    constants = _named(form, constants_P)
    power = constants[form.outer] if form.outer else 1.0
    return power * constants[alpha], power * constants[beta]


def _finite(log_coefficient: float) -> float:
    return float(np.exp(np.clip(log_coefficient, -_MOST_LOG, _MOST_LOG)))
