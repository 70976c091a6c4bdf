"""The loss on one text as a function of the loss on another.

The law is the shifted power law of Brandfonbrener et al. 2024 (arXiv 2411.12925),
`L_other = K (L_train - E0)^kappa + E1`. Kaplan et al. 2020 (2001.08361), section 3.2.2, claim that
the loss on other texts depends on the loss on the training text alone: what the law leaves must
then have no slope in the size of the model nor in the progress of its training.
"""

import math
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError

_STARTS = [(share, kappa) for share in (0.05, 0.4, 0.8) for kappa in (0.6, 1.0, 1.6)]
_CONSTANTS = 4
_DRAWS = 100
_KAPPA = (0.05, 8.0)
# Least rank correlation of two losses that fall together.
_TOGETHER = 0.5


@dataclass(frozen=True)
class LossToLoss:
    """A shifted power law between two losses, and the slopes of its residuals.

    E0 and E1 are floors that the data determine only where the losses come near them; K, kappa,
    E0 and E1 trade off, so read predictions rather than constants.

    Attributes:
        K, kappa, E0, E1: constants of `L_other = K (L_train - E0)^kappa + E1`, losses in
            nats per token.
        points: number of pairs of losses.
        rms: root mean square of the residuals, in nats per token.
        rank_correlation: Spearman's, of the two losses. Below 0.5 they do not fall together, no law
            of this form holds, and the slopes show only that.
        offset: mean of `L_other - L_train`.
        offset_spread: standard deviation of `L_other - L_train` over the pairs.
        size_slope: slope of the residuals in the log of the size, in nats per factor of e.
        progress_slope: the same in the log of the share of the run's tokens.
        size_slope_interval, progress_slope_interval: by resampling whole runs.
        level: of the intervals.
    """

    K: float
    kappa: float
    E0: float
    E1: float
    points: int
    rms: float
    rank_correlation: float
    offset: float
    offset_spread: float
    size_slope: float
    progress_slope: float
    size_slope_interval: tuple[float, float]
    progress_slope_interval: tuple[float, float]
    level: float

    @property
    def fall_together(self) -> bool:
        """Whether the two losses fall together, so that the law and its slopes mean something."""
        return self.rank_correlation >= _TOGETHER

    def other_loss(self, train_loss: np.ndarray) -> np.ndarray:
        """The loss on the other text where the loss on the training text is `train_loss`."""
        return np.asarray(
            _law(np.array([self.K, self.kappa, self.E0, self.E1]), np.asarray(train_loss))
        )


def loss_to_loss(
    train_N: np.ndarray,
    other_N: np.ndarray,
    *,
    size_N: np.ndarray,
    progress_N: np.ndarray,
    run_N: np.ndarray,
    level: float = 0.9,
    seed: int = 0,
) -> LossToLoss:
    """The shifted power law from the loss on one text to that on another, by least squares.

    Args:
        train_N, other_N: the two losses of each checkpoint, in nats per token.
        size_N: parameters of its model.
        progress_N: share of its run that is done, above 0.
        run_N: its run; whole runs are resampled for the intervals.
        level: of the intervals.
        seed: of the resampling.

    Raises:
        InputError: fewer checkpoints than the law has constants, or a single run.
    """
    from scipy.stats import spearmanr

    runs = np.unique(run_N)
    if len(train_N) <= _CONSTANTS or len(runs) < 2:
        raise InputError(
            f"{len(train_N)} checkpoints of {len(runs)} runs: the shifted power law has "
            f"{_CONSTANTS} constants, so give more than {_CONSTANTS} checkpoints of several runs"
        )
    factors_Nx2 = np.log(np.stack([size_N, progress_N], axis=1).astype(float))
    theta_4 = _fitted(train_N, other_N)
    residual_N = other_N - _law(theta_4, train_N)
    rows_of = [np.flatnonzero(run_N == run) for run in runs]
    rng = np.random.default_rng(seed)
    draws_Bx2 = []
    for _ in range(_DRAWS):
        rows = np.concatenate([rows_of[i] for i in rng.integers(len(runs), size=len(runs))])
        drawn_4 = _fitted(train_N[rows], other_N[rows], near=theta_4)
        left = other_N[rows] - _law(drawn_4, train_N[rows])
        draws_Bx2.append(_slopes(left, factors_Nx2[rows]))
    outside = (1 - level) / 2
    low_2, high_2 = np.quantile(draws_Bx2, [outside, 1 - outside], axis=0)
    slopes_2 = _slopes(residual_N, factors_Nx2)
    offset_N = other_N - train_N
    return LossToLoss(
        K=float(theta_4[0]),
        kappa=float(theta_4[1]),
        E0=float(theta_4[2]),
        E1=float(theta_4[3]),
        points=len(train_N),
        rms=math.sqrt(float((residual_N**2).mean())),
        rank_correlation=float(spearmanr(train_N, other_N).statistic),
        offset=float(offset_N.mean()),
        offset_spread=float(offset_N.std(ddof=1)),
        size_slope=float(slopes_2[0]),
        progress_slope=float(slopes_2[1]),
        size_slope_interval=(float(low_2[0]), float(high_2[0])),
        progress_slope_interval=(float(low_2[1]), float(high_2[1])),
        level=level,
    )


def _law(theta_4: np.ndarray, train_N: np.ndarray) -> np.ndarray:
    K, kappa, E0, E1 = theta_4
    above_N = np.maximum(train_N - E0, 1e-9)
    return np.asarray(K * above_N**kappa + E1)


def _fitted(train_N: np.ndarray, other_N: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
    """The constants with the least squares, from several starts or from one."""
    from scipy.optimize import least_squares

    least, floor = float(train_N.min()), float(other_N.min())
    upper = [np.inf, _KAPPA[1], least * (1 - 1e-3), floor]
    lower = [0.0, _KAPPA[0], 0.0, 0.0]
    starts = [near] if near is not None else [_start(train_N, other_N, *each) for each in _STARTS]
    found = [
        least_squares(
            lambda theta_4: _law(theta_4, train_N) - other_N,
            np.clip(start, np.array(lower) + 1e-9, np.array(upper) - 1e-9),
            bounds=(lower, upper),
        )
        for start in starts
    ]
    return np.asarray(min(found, key=lambda each: each.cost).x)


def _start(train_N: np.ndarray, other_N: np.ndarray, share: float, kappa: float) -> np.ndarray:
    """K and E1 by a line through `other_N`, for given E0 and kappa."""
    E0 = share * float(train_N.min())
    slope, intercept = np.polyfit((train_N - E0) ** kappa, other_N, 1)
    return np.array([max(slope, 1e-3), kappa, E0, max(intercept, 1e-3)])


def _slopes(residual_N: np.ndarray, factors_Nx2: np.ndarray) -> np.ndarray:
    centred_Nx2 = factors_Nx2 - factors_Nx2.mean(axis=0)
    return np.asarray(np.linalg.lstsq(centred_Nx2, residual_N - residual_N.mean(), rcond=None)[0])
