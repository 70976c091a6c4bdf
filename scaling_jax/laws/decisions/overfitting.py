"""How much a model overfits its data, by L(N, D) of Kaplan et al. 2020 (arXiv 2001.08361).

Equation 1.5, with the constants of the law `kaplan`: `L = (A / N^rho + B / D)^alpha_D`, where D are
unique tokens and the loss is the least along the run. N is counted as the law's constants do.
"""

from collections.abc import Mapping

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.checks import require_positive


def overfitting(
    constants: Mapping[str, float], params: np.ndarray | float, unique_tokens: np.ndarray | float
) -> np.ndarray:
    """L(N, D) / L(N, infinity) - 1, the loss that finite data cost (equations 4.2 and 4.3).

    >>> from scaling_jax.laws.catalogue import KAPLAN
    >>> published = KAPLAN.published["kaplan-2020"]
    >>> f"{overfitting(published, params=1e9, unique_tokens=22e9):.3f}"
    '0.022'

    Args:
        constants: A, B, rho and alpha_D of the law `kaplan`.
        params: N.
        unique_tokens: D.
    """
    ratio = data_ratio(constants, params, unique_tokens)
    return np.asarray(np.expm1(constants["alpha_D"] * np.log1p(ratio)))


def data_ratio(
    constants: Mapping[str, float], params: np.ndarray | float, unique_tokens: np.ndarray | float
) -> np.ndarray:
    """(N / N_c)^(alpha_N / alpha_D) D_c / D, on which alone the overfitting depends."""
    of_size = constants["A"] / np.asarray(params, float) ** constants["rho"]
    return np.asarray(constants["B"] / np.asarray(unique_tokens, float) / of_size)


def data_needed(
    constants: Mapping[str, float], params: np.ndarray | float, excess: float
) -> np.ndarray:
    """The unique tokens with which a model loses the share `excess` of its loss to overfitting.

    They grow as N^(alpha_N / alpha_D) (equation 4.4: 5e3 N^0.74 at an excess of 0.02).

    >>> from scaling_jax.laws.catalogue import KAPLAN
    >>> published = KAPLAN.published["kaplan-2020"]
    >>> [float(f"{data_needed(published, n, 0.02):.2g}") for n in (1e9, 8e9)]
    [24000000000.0, 110000000000.0]

    Raises:
        InputError: an excess that is not positive.
    """
    require_positive("excess", excess, "give a share of the loss, such as 0.02")
    ratio = np.expm1(np.log1p(excess) / constants["alpha_D"])
    of_size = constants["A"] / np.asarray(params, float) ** constants["rho"]
    return np.asarray(constants["B"] / ratio / of_size)


def stopping_bound(
    steps_law: Mapping[str, float], loss: np.ndarray | float, unlimited: np.ndarray | float
) -> np.ndarray:
    """The steps before which a run on finite data does not reach its lowest loss (equation 5.7).

    S_stop >= S_c / (L(N, D) - L(N, infinity))^(1 / alpha_S): until then the run would fall as on
    unlimited data. Infinite where the data cost nothing.

    Args:
        steps_law: B and alpha_S of the law `kaplan-params-steps`, where B = S_c^alpha_S.
        loss: the lowest loss on the finite data.
        unlimited: the loss of the same size on unlimited data.

    Raises:
        InputError: an alpha_S that is not positive.
    """
    if not steps_law["alpha_S"] > 0:
        raise InputError(
            f"alpha_S {steps_law['alpha_S']:g} is not positive, so the loss does not fall with "
            "steps: fit curves without their warm-up"
        )
    cost = np.maximum(np.asarray(loss, float) - np.asarray(unlimited, float), 0)
    with np.errstate(divide="ignore"):
        return np.asarray((steps_law["B"] / cost) ** (1 / steps_law["alpha_S"]))
