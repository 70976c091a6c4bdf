"""The error of a law's form: what a fit answers where losses follow a law of another form.

The other laws are `L = E + (A N^-alpha + B D^-beta)^k` (Videau et al. 2026, arXiv 2608.07222), with
k of 0.4 and 0.7, and without a floor with any k of 0.1 to 1. Measured grids have k of 0.3 to 0.9,
and their floors are near zero where k is small. Each law is laid as close to the assumed law as its
form allows over the design, so that it is a truth that the same losses would suggest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.allocation import frontier_names
from scaling_jax.laws.catalogue import SKALING, PowerSum
from scaling_jax.laws.planning.answers import ANSWERS, Target
from scaling_jax.laws.planning.known import KnownLaw
from scaling_jax.laws.planning.linearized import centre_of, log_losses

_POWERS = (0.4, 0.7)
_LEAST_POWER = 0.1
# Where k is free, the search for it starts here.
_FIRST_POWER = 0.5
_FIRST_FLOOR = 0.1
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
    law: KnownLaw, values: Mapping[str, np.ndarray], power: float | None = None
) -> Nearest:
    """The nearest law without a floor to an assumed one: with a given k, or any of 0.1 to 1."""
    log_loss_N = np.log(law.loss(values["params"], values["tokens"]))
    floor, centre = law.constants.get("E", 0.0), centre_of(law.form, values)
    reducible = 1 - floor / float(np.exp(log_loss_N.mean()))
    k = _FIRST_POWER if power is None else power
    alpha, beta = (reducible * exponent / k for exponent in _slopes_of(law))
    # Both terms are equal at the centre, where their sum is to meet the losses.
    log_term = log_loss_N.mean() / k - np.log(2)
    a, b = _finite(log_term + alpha * centre["params"]), _finite(log_term + beta * centre["tokens"])
    start_P = np.array([0.0, a, b, alpha, beta, k])
    held = ("E",) if power is None else ("E", "k")
    found = nearest(SKALING, values, log_loss_N, start_P, held)
    free = float(found.constants_P[-1])
    # Powers far from those of measured grids are of no truth.
    bounded = min(max(free, _LEAST_POWER), 1.0)
    return found if bounded == free or power is not None else without_floor(law, values, bounded)


def form_errors(
    law: KnownLaw, values: Mapping[str, np.ndarray], target: Target, noise: float
) -> np.ndarray:
    """The largest errors of `Target.answers` of a fit where its form is not the truth's.

    To each other law's losses, without noise, the assumed law's form is fitted. Where those losses
    differ from the assumed law's by more in the mean than a run's noise, residuals would show that
    the runs follow another law; then only a part of the error counts, as small as the noise is to
    the difference. A smaller difference shows in nothing, because the noise is read off residuals.

    Args:
        law: the assumed law; its form is fitted.
        values: params and tokens of every run.
        target: what is asked.
        noise: standard deviation of a run's log loss.
    """
    errors_A = np.zeros(len(ANSWERS))
    # A search does not leave a floor of zero by itself.
    floor = _FIRST_FLOOR * float(law.loss(values["params"], values["tokens"]).min())
    is_zero_P = (np.array(law.form.names) == "E") & (law.constants_P == 0)
    start_P = np.where(is_zero_P, floor, law.constants_P)
    for truth in _other_laws(law, values):
        log_loss_N = np.log(SKALING.value(truth.constants_P, values))
        fitted = nearest(law.form, values, log_loss_N, start_P, tuple(law.form.held))
        answers_A = target.answers(law.form, fitted.constants_P)
        missed_A = np.abs(answers_A - target.answers(SKALING, truth.constants_P))
        share = min(1.0, noise / truth.misfit) if truth.misfit else 1.0
        errors_A = np.maximum(errors_A, np.nan_to_num(share * missed_A, nan=np.inf, posinf=np.inf))
    return errors_A


def _other_laws(law: KnownLaw, values: Mapping[str, np.ndarray]) -> Iterator[Nearest]:
    log_loss_N = np.log(law.loss(values["params"], values["tokens"]))
    floor = law.constants.get("E", 0.0) / 2
    alpha, beta = _slopes_of(law)
    _, _, a_name, b_name = frontier_names(law.form)
    power = law.constants[law.form.outer] if law.form.outer else 1.0
    for k in _POWERS:
        # Each term alone, raised to k, is the assumed law's.
        logs = (np.log(max(law.constants[name], _LEAST)) for name in (a_name, b_name))
        a, b = (_finite(power / k * log) for log in logs)
        start_P = np.array([floor, a, b, alpha / k, beta / k, k])
        yield nearest(SKALING, values, log_loss_N, start_P, held=("k",))
    yield without_floor(law, values)


def _slopes_of(law: KnownLaw) -> tuple[float, float]:
    """Exponents with which the terms of N and D fall, outer power included."""
    alpha, beta, _, _ = frontier_names(law.form)
    power = law.constants[law.form.outer] if law.form.outer else 1.0
    return power * law.constants[alpha], power * law.constants[beta]


def _finite(log_coefficient: float) -> float:
    return float(np.exp(np.clip(log_coefficient, -_MOST_LOG, _MOST_LOG)))
