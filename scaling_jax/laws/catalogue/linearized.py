"""A law about known constants: slopes of its log losses, gradients of answers, nearest laws.

Linear in `theta`, the logarithms of coefficients and outer power and the exponents, in which a
small noise of log losses moves every answer in proportion.
"""

from collections.abc import Callable, Mapping

import numpy as np

from scaling_jax.laws.catalogue import PowerSum

# The step of central differences in log coefficients and exponents: errors of 1e-8 against slopes
# near 1.
_STEP = 1e-4


def centre_of(form: PowerSum, values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The mean logarithm of every variable, which parts coefficients from exponents best."""
    return {name: float(np.log(values[name]).mean()) for name in form.variables}


def slopes(
    form: PowerSum,
    constants_P: np.ndarray,
    centre: Mapping[str, float],
    values: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Derivatives `NxP` of rows' log losses in `theta`, of logs minus their `centre`."""
    logs = {name: np.log(values[name]) - centre[name] for name in form.variables}
    return log_losses(form, form.theta(constants_P, centre), form.design(logs))[1]


def log_losses(
    form: PowerSum, theta_P: np.ndarray, u_NxKxP: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows' log losses and their derivatives `NxP` in `theta`, from gradients of the terms' logs.

    With terms t_k of logarithm u_k theta, inner sum S and outer power q, the loss is
    L = sum_outside t_k + S^q, so d ln L = (sum_outside t_k u_k + S^q (q d ln S + ln S dq)) / L.
    """
    log_NxK = u_NxKxP @ theta_P
    inner = slice(form.outside, None)
    log_sum_N = np.logaddexp.reduce(log_NxK[:, inner], axis=1)
    share_NxK = np.exp(log_NxK[:, inner] - log_sum_N[:, None])
    of_sum_NxP = np.einsum("nk,nkp->np", share_NxK, u_NxKxP[:, inner])
    power = float(np.exp(theta_P[-1])) if form.outer else 1.0
    of_power_NxP = power * of_sum_NxP
    if form.outer:
        of_power_NxP[:, -1] += power * log_sum_N
    parts_NxK = np.column_stack([log_NxK[:, : form.outside], power * log_sum_N])
    log_loss_N: np.ndarray = np.logaddexp.reduce(parts_NxK, axis=1)
    share_NxK = np.exp(parts_NxK - log_loss_N[:, None])
    outside_NxP = np.einsum("nk,nkp->np", share_NxK[:, :-1], u_NxKxP[:, : form.outside])
    return log_loss_N, outside_NxP + share_NxK[:, -1:] * of_power_NxP


def gradient(
    answer: Callable[[np.ndarray], np.ndarray],
    form: PowerSum,
    constants_P: np.ndarray,
    centre: Mapping[str, float],
) -> np.ndarray:
    """Derivative in `theta` of a function of constants along the last axis."""
    theta_P, offsets_PxP = form.theta(constants_P, centre), _STEP * np.eye(len(constants_P))
    ends = [answer(form.constants(theta_P + s * offsets_PxP, centre)) for s in (1, -1)]
    with np.errstate(invalid="ignore"):
        slope_P: np.ndarray = (ends[0] - ends[1]) / (2 * _STEP)
    return slope_P
