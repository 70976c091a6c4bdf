"""Two laws of the loss along a run under any schedule of the learning rate.

Both add to a power of the summed rates what the fall of the rate wins:

- the momentum law of Tissue et al. 2024 (arXiv 2408.11029),
  `L = L0 + A S1^-alpha - C S2`, where `S1` sums the rates and `S2` a momentum of their falls;
- the multi-power law of Luo et al. 2025 (arXiv 2503.12811),
  `L = L0 + A S1^-alpha - B sum_k (lr_(k-1) - lr_k) G(lr_k^-gamma S_k)` with
  `G(x) = 1 - (1 + C x)^-beta`, where `S_k` sums the rates from the k-th fall on.

Each is linear in three constants once the others are given, so that only the others are searched.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling_jax.laws.curves.scheduled import ScheduledCurve

ScheduleLawName = Literal["momentum", "multi-power"]


@dataclass(frozen=True)
class Coordinate:
    """A constant that is searched, by its logarithm.

    Attributes:
        name: of the constant.
        low, high: bounds of the constant.
        centre, spread: of its prior: a Gaussian of its logarithm; None is flat within the bounds.
        starts: where searches start.
    """

    name: str
    low: float
    high: float
    starts: tuple[float, ...]
    centre: float | None = None
    spread: float = math.inf


@dataclass(frozen=True)
class ScheduleForm:
    """A law of schedules, as the search sees it.

    Attributes:
        name: of the law.
        coordinates: the constants that are searched.
        gains: what the falls of a curve's rate win at some of its steps, `T`, before the amplitude
            of the law, for constants in the order of `coordinates`.
        paper: where the law is from.
    """

    name: ScheduleLawName
    coordinates: tuple[Coordinate, ...]
    gains: Callable[[ScheduledCurve, np.ndarray, Sequence[float]], np.ndarray]
    paper: str


def summed_rates(curve: ScheduledCurve, step_T: np.ndarray) -> np.ndarray:
    """`S1` after each of the steps, the warm-up included."""
    return np.asarray(np.cumsum(curve.lr_S)[step_T - 1])


def _momentum_gains(
    curve: ScheduledCurve, step_T: np.ndarray, constants: Sequence[float]
) -> np.ndarray:
    """`S2` of Tissue et al., with a momentum that forgets in `memory` steps.

    The sum is divided by `memory`, so that a learning rate that fell long ago counts with its whole
    decrease, whatever `memory` is.
    """
    from scipy.signal import lfilter

    _, memory = constants
    kept = 1 - 1 / memory
    drop_S = np.concatenate([[0.0], curve.lr_S[:-1] - curve.lr_S[1:]])
    drop_S[: curve.warmup + 1] = 0.0
    momentum_S = lfilter([1.0 / memory], [1.0, -kept], drop_S)
    return np.asarray(np.cumsum(momentum_S)[step_T - 1])


def _multi_power_gains(
    curve: ScheduledCurve, step_T: np.ndarray, constants: Sequence[float]
) -> np.ndarray:
    """The sum over falls of Luo et al., with G scaled to 1 at `_REFERENCE`.

    `B` and `beta` alone are not identified where all falls are recent: `G` is then `beta C x`, or
    `beta ln(1 + C x)` for a small beta, and only a product with B counts. Scaled, the amplitude
    is what a unit of fall wins at a given distance, and both limits are finite.
    """
    _, beta, scale, gamma = constants
    at_K, fall_K = curve.changes
    if not len(at_K):
        return np.zeros(len(step_T))
    sums_S = np.cumsum(curve.lr_S)
    # The rate of the step itself is part of S_k.
    before_K = np.where(at_K > 0, sums_S[at_K - 1], 0.0)
    since_TxK = np.maximum(sums_S[step_T - 1][:, None] - before_K, 0.0)
    rate_K = np.maximum(curve.lr_S[at_K], 1e-4 * curve.lr_S.max())
    x_TxK = rate_K**-gamma * since_TxK
    won_T = (_saturation(x_TxK, beta, scale) * fall_K).sum(axis=1)
    return np.asarray(won_T / _saturation(np.array(_REFERENCE), beta, scale))


# A distance at which falls of published runs have won about 0.9 of what they will.
_REFERENCE = 50.0


def _saturation(x: np.ndarray, beta: float, scale: float) -> np.ndarray:
    return np.asarray(-np.expm1(-beta * np.log1p(scale * x)))


FORMS: dict[ScheduleLawName, ScheduleForm] = {
    "momentum": ScheduleForm(
        "momentum",
        (
            Coordinate("alpha", 0.05, 3.0, (0.3, 0.6)),
            Coordinate("memory", 2.0, 1e6, (30.0, 300.0, 3000.0)),
        ),
        _momentum_gains,
        "Tissue et al. 2024 (2408.11029)",
    ),
    "multi-power": ScheduleForm(
        "multi-power",
        (
            Coordinate("alpha", 0.05, 3.0, (0.3, 0.6)),
            # Luo et al. 2025 found beta .58 to .60, C 2.0 to 2.1 and gamma .64 to .66 at three
            # sizes. Falls that have all happened recently do not tell these apart.
            Coordinate("beta", 0.01, 10.0, (0.6,), centre=0.6, spread=0.5),
            Coordinate("C", 1e-3, 1e3, (2.0,), centre=2.0, spread=1.0),
            Coordinate("gamma", 0.05, 2.0, (0.65,), centre=0.65, spread=0.3),
        ),
        _multi_power_gains,
        "Luo et al. 2025 (2503.12811)",
    ),
}
