"""The best learning rate of each cell of a sweep, with its error.

In the logarithm of the rate, log losses near the optimum follow a parabola. The runs of a sweep
that lie within a few rates of the best one determine it; what they leave over the parabolas of all
cells together is the noise of a run, from which each vertex has its error.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

import numpy as np

from scaling_jax.errors import InputError

Edge = Literal["smallest", "largest"]
K = TypeVar("K", bound=Hashable)

# Rates on each side of the best one to which a parabola is fitted.
_NEIGHBOURS = 2
# A constant, a slope and a curvature.
_FEWEST_RATES = 3


@dataclass(frozen=True)
class Trial:
    """A run of a sweep: its rate, its held-out loss (nan if it diverged) and its seed."""

    rate: float
    loss: float
    seed: int = 0


@dataclass(frozen=True)
class RateOptimum:
    """The vertex of a cell's parabola.

    Attributes:
        rate: best rate.
        log_error: standard error of the logarithm of the best rate.
        loss: loss at the best rate.
        curvature: rise of the log loss for a rate that is e times the best.
        n_runs: runs that the parabola was fitted to.
    """

    rate: float
    log_error: float
    loss: float
    curvature: float
    n_runs: int


@dataclass(frozen=True)
class SweepOptima(Generic[K]):
    """The optima of all cells of a sweep.

    Attributes:
        cells: the optimum of each cell.
        noise: standard deviation of the log loss of a run around its parabola.
        freedom: number of runs beyond those that determine the parabolas; at 0 the noise is not
            known, and errors are nan.
    """

    cells: Mapping[K, RateOptimum]
    noise: float
    freedom: int


@dataclass(frozen=True)
class _Parabola:
    """Least squares of log losses: coefficients, their inverse information, and what is left."""

    coefficients_3: np.ndarray
    covariance_3x3: np.ndarray
    squares: float
    freedom: int
    centre: float
    reach: tuple[float, float]
    n_runs: int

    @property
    def is_inside(self) -> bool:
        """Whether the parabola has a minimum between the rates that it was fitted to."""
        low, high = self.reach
        return bool(self.coefficients_3[2] > 0 and low < self.shift < high)

    @property
    def shift(self) -> float:
        _, b, c = self.coefficients_3
        return float(-b / (2 * c))

    def optimum(self, noise: float) -> RateOptimum:
        a, b, c = self.coefficients_3
        slope_3 = np.array([0.0, -1 / (2 * c), b / (2 * c * c)])
        error = noise * math.sqrt(slope_3 @ self.covariance_3x3 @ slope_3)
        loss = math.exp(a - b * b / (4 * c))
        return RateOptimum(math.exp(self.centre + self.shift), error, loss, float(c), self.n_runs)


def edge_of(trials: Sequence[Trial]) -> Edge | None:
    """The end of a sweep beyond which its optimum may lie; None where the optimum lies between.

    It is the end at which the lowest loss is, or towards which losses that show no minimum fall.

    >>> edge_of([Trial(1e-3, 3.0), Trial(2e-3, 2.9), Trial(4e-3, 2.8)])
    'largest'

    Raises:
        InputError: every run diverged.
    """
    means = _mean_losses(trials)
    finished = sorted(means)
    if not finished:
        raise InputError(
            f"all {len(trials)} runs of a cell of the sweep diverged, at learning rates down to "
            f"{min(trial.rate for trial in trials):.3g}: sweep lower rates"
        )
    best = min(finished, key=lambda rate: means[rate])
    if best in (finished[0], finished[-1]):
        return "largest" if best == finished[-1] else "smallest"
    parabola = _nearby(trials)
    if parabola.is_inside:
        return None
    return "largest" if parabola.coefficients_3[1] < 0 else "smallest"


def sweep_optima(cells: Mapping[K, Sequence[Trial]]) -> SweepOptima[K]:
    """The best rate of each cell of a sweep, from its runs near the lowest loss.

    Cells have about the same curvature: each is drawn towards the mean as far as its error allows.
    Runs of several seeds share a parabola up to a constant for each seed.

    >>> rates = [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]
    >>> losses = [2 * math.exp(0.02 * math.log(rate / 5e-3) ** 2) for rate in rates]
    >>> trials = [Trial(rate, loss) for rate, loss in zip(rates, losses)]
    >>> round(sweep_optima({"small": trials}).cells["small"].rate, 6)
    0.005

    Args:
        cells: for each cell, its runs.

    Raises:
        InputError: a cell with fewer than three finished rates, whose lowest loss is at an end of
            its sweep, or whose losses show no minimum.
    """
    parabolas = {name: _parabola(name, trials) for name, trials in cells.items()}
    freedom = sum(each.freedom for each in parabolas.values())
    squares = sum(each.squares for each in parabolas.values())
    noise = math.sqrt(squares / freedom) if freedom else math.nan
    if noise > 0 and len(parabolas) > 1:
        parabolas = dict(zip(parabolas, _alike([*parabolas.values()], noise), strict=True))
    found = {name: each.optimum(noise) for name, each in parabolas.items()}
    return SweepOptima(found, noise, freedom)


def _alike(parabolas: Sequence[_Parabola], noise: float) -> list[_Parabola]:
    """The parabolas with curvatures drawn towards the mean of all, as far as their errors allow.

    Curvatures vary over cells by what their scatter exceeds their errors (DerSimonian and Laird
    1986). A cell that is flat by chance would otherwise have no error worth the name.
    """
    curvature_N = np.array([each.coefficients_3[2] for each in parabolas])
    weight_N = 1 / (noise**2 * np.array([each.covariance_3x3[2, 2] for each in parabolas]))
    mean = weight_N @ curvature_N / weight_N.sum()
    excess = weight_N @ (curvature_N - mean) ** 2 - (len(parabolas) - 1)
    spread = max(0.0, excess / (weight_N.sum() - (weight_N**2).sum() / weight_N.sum()))
    weight_N = 1 / (1 / weight_N + spread)
    mean = weight_N @ curvature_N / weight_N.sum()
    prior = noise**2 / (spread + 1 / weight_N.sum())
    drawn = []
    for each in parabolas:
        own_3x3 = np.linalg.inv(each.covariance_3x3)
        both_3x3 = np.linalg.inv(own_3x3 + prior * np.diag([0.0, 0.0, 1.0]))
        pulled_3 = own_3x3 @ each.coefficients_3 + np.array([0.0, 0.0, prior * mean])
        drawn.append(replace(each, coefficients_3=both_3x3 @ pulled_3, covariance_3x3=both_3x3))
    return drawn


def _mean_losses(trials: Sequence[Trial]) -> dict[float, float]:
    """The mean loss of each rate at which every seed finished."""
    losses: dict[float, list[float]] = {}
    for trial in trials:
        losses.setdefault(trial.rate, []).append(trial.loss)
    means = {rate: float(np.mean(each)) for rate, each in losses.items()}
    return {rate: mean for rate, mean in means.items() if math.isfinite(mean)}


def _parabola(name: Hashable, trials: Sequence[Trial]) -> _Parabola:
    means = _mean_losses(trials)
    rates = sorted(means)
    if len(rates) < _FEWEST_RATES:
        raise InputError(
            f"the sweep of {name} has {len(rates)} learning rates with a loss: it needs at least "
            f"{_FEWEST_RATES}"
        )
    if edge := edge_of(trials):
        at = rates[-1] if edge == "largest" else rates[0]
        raise InputError(
            f"the losses of {name} are lowest at the {edge} learning rate of its sweep, {at:.3g}, "
            "or show no minimum: sweep further on that side, or average several seeds"
        )
    return _nearby(trials)


def _nearby(trials: Sequence[Trial]) -> _Parabola:
    """The parabola through the rates nearest the lowest loss; through all if it has no minimum."""
    means = _mean_losses(trials)
    rates = sorted(means)
    best = min(range(len(rates)), key=lambda i: means[rates[i]])
    found = _through(trials, rates[max(0, best - _NEIGHBOURS) : best + _NEIGHBOURS + 1])
    return found if found.is_inside else _through(trials, rates)


def _through(trials: Sequence[Trial], near: Sequence[float]) -> _Parabola:
    """The parabola through the runs at the rates `near`."""
    used = [trial for trial in trials if trial.rate in near]
    centre = float(np.mean(np.log(near)))
    x_N = np.log([trial.rate for trial in used]) - centre
    y_N = np.log([trial.loss for trial in used])
    seeds = sorted({trial.seed for trial in used})
    # The constant of each seed but the first as its distance from the mean.
    apart_NxS = np.array([[float(t.seed == s) - 1 / len(seeds) for s in seeds[1:]] for t in used])
    columns_NxP = np.column_stack([np.ones_like(x_N), x_N, x_N**2, apart_NxS.reshape(len(x_N), -1)])
    solution_P, *_ = np.linalg.lstsq(columns_NxP, y_N, rcond=None)
    inverse_PxP = np.linalg.inv(columns_NxP.T @ columns_NxP)
    left_N = y_N - columns_NxP @ solution_P
    return _Parabola(
        solution_P[:3],
        inverse_PxP[:3, :3],
        float(left_N @ left_N),
        len(used) - columns_NxP.shape[1],
        centre,
        (float(x_N.min()), float(x_N.max())),
        len(used),
    )
