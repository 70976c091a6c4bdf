"""The frontier of training at one batch, and where it contradicts L(D) (Kaplan et al. 2020, 6.3).

With C = 6 N D, N without embeddings, and D = b S at a batch of b tokens, L(N, S) has its lowest
loss for a C in closed form. That loss, L(C), falls faster than L(D(C)), the loss that the data
which such training reads allow at any size. Where the two meet, the laws contradict each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.decisions.efficient_training import crossing
from scaling_jax.laws.kaplan_frontier import KaplanFrontier
from scaling_jax.report.experiments.steps_law import SETTLED

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit

_FLOP_VALUES = 60
_QUANTITIES = ("C*", "N*", "D*", "L*")


def frontier_at_one_batch(steps_law: Mapping[str, float], tokens_per_step: float) -> KaplanFrontier:
    """The frontier of `L = A / N^alpha_N + B / S^alpha_S` in C = 6 N b S at a batch of b tokens.

    Raises:
        InputError: a constant of the law that is not positive.
    """
    names = ("A", "alpha_N", "B", "alpha_S")
    known = {name: float(steps_law[name]) for name in names}
    return KaplanFrontier(**known, B_star=tokens_per_step, inverse_alpha_B=0.0)


def frontier_errors(curves: "pd.DataFrame", frontier: KaplanFrontier) -> np.ndarray:
    """The lowest measured loss at some FLOPs over the frontier's loss, minus 1.

    FLOP values count where the size of the lowest loss lies between a smaller and a larger one
    whose curves reach them; there may be none.

    Args:
        curves: held-out curves, as `scaling_jax.study.curves` gives them.
        frontier: in C = 6 N D, N without embeddings.
    """
    longest = curves.groupby("run_id")["tokens"].transform("max")
    settled = curves[curves["tokens"] >= SETTLED * longest].sort_values("tokens")
    runs, sizes = [], []
    for _, run in settled.groupby("run_id"):
        size = float(run["params_non_embedding"].iloc[0])
        flops_T = FLOPS_PER_PARAM_TOKEN * size * run["tokens"].to_numpy(float)
        runs.append((np.log(flops_T), np.log(run["loss"].to_numpy(float))))
        sizes.append(size)
    ends = np.concatenate([x_T[[0, -1]] for x_T, _ in runs])
    x_G = np.linspace(ends.min(), ends.max(), _FLOP_VALUES)
    loss_RxG = np.stack([np.interp(x_G, x, y, left=np.inf, right=np.inf) for x, y in runs])
    size_R, there_RxG = np.array(sizes), np.isfinite(loss_RxG)
    least_G = np.where(there_RxG, size_R[:, None], np.inf).min(axis=0)
    most_G = np.where(there_RxG, size_R[:, None], 0).max(axis=0)
    best_G = size_R[loss_RxG.argmin(axis=0)]
    inside_G = (least_G < best_G) & (best_G < most_G)
    law_G = np.array([frontier.at(flops).loss for flops in np.exp(x_G[inside_G])])
    return np.asarray(np.exp(loss_RxG.min(axis=0)[inside_G]) / law_G - 1)


@dataclass(frozen=True)
class CrossingFound:
    """Where L(C) and L(D(C)) meet.

    Attributes:
        values: C* (FLOPs, 6 N D without embeddings), N*, D* (tokens) and L* (nats per token).
        intervals: of each, over the resamples of both laws that cross.
        crossing_share: the share of resamples whose laws cross.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    crossing_share: float

    def __str__(self) -> str:
        shown = []
        for name in _QUANTITIES:
            low, high = self.intervals[name]
            shown.append(f"{name} {self.values[name]:.3g} ({low:.3g} to {high:.3g})")
        return ", ".join(shown) + f"; {self.crossing_share:.0%} of the resamples cross"


def find_crossing(steps: "Fit", tokens_per_step: float, size_and_data: "Fit") -> CrossingFound:
    """Where the frontier of L(N, S) at one batch meets L(D), the limit of L(N, D) in N.

    Args:
        steps: the law `kaplan-params-steps`, with resamples.
        tokens_per_step: the batch of its runs.
        size_and_data: the law `kaplan` of equation 1.5 in unique tokens, with resamples.

    Raises:
        InputError: laws that do not cross, or cross beyond every number.
    """
    values = _crossing(steps.params, tokens_per_step, size_and_data.params)
    drawn = []
    pairs = list(zip(draws(steps), draws(size_and_data), strict=False))
    for of_steps, of_data in pairs:
        try:
            drawn.append(_crossing(of_steps, tokens_per_step, of_data))
        except InputError:
            continue  # A resample without a crossing counts in the share alone.
    outside = (1 - steps.level) / 2
    intervals = {
        name: tuple(np.quantile([each[name] for each in drawn], [outside, 1 - outside]))
        if drawn
        else (float("nan"), float("nan"))
        for name in _QUANTITIES
    }
    return CrossingFound(values, intervals, len(drawn) / len(pairs) if pairs else float("nan"))


def draws(fit: "Fit") -> list[dict[str, float]]:
    """Each resample as a mapping from constants to values; none for a fit without resamples."""
    if fit.draws_BxP is None:
        return []
    return [dict(zip(fit.params, map(float, row), strict=True)) for row in fit.draws_BxP]


def _crossing(
    steps_law: Mapping[str, float], tokens_per_step: float, data_law: Mapping[str, float]
) -> dict[str, float]:
    frontier = frontier_at_one_batch(steps_law, tokens_per_step)
    powers = frontier.exponents
    try:
        at_one = frontier.at(1.0)
        found = crossing(
            (at_one.loss ** (1 / powers["loss"]), powers["loss"]),
            (at_one.tokens_min, powers["tokens"]),
            (data_law["B"], data_law["alpha_D"]),
        )
    except OverflowError:
        raise InputError(
            "L(C) and L(D(C)) are so nearly parallel that their crossing exceeds every number: "
            "train sizes over a wider range"
        ) from None
    params = found.compute / (FLOPS_PER_PARAM_TOKEN * found.tokens)
    return {"C*": found.compute, "N*": params, "D*": found.tokens, "L*": found.loss}


def frontier_text(curves: "pd.DataFrame", frontier: KaplanFrontier) -> str:
    """The powers of C along the frontier, and how far the lowest losses lie from it."""
    powers = frontier.exponents
    line = (
        f"at one batch of {formatting.count(frontier.B_star)} tokens the optimum under this law "
        f"has L ~ C^-{powers['loss']:.3f}, N ~ C^{powers['params']:.2f}, "
        f"D ~ C^{powers['tokens']:.2f} (C = 6 N D without embeddings)"
    )
    try:
        errors = frontier_errors(curves, frontier)
    except OverflowError:
        return f"{line}; its constants exceed every number: train sizes over a wider range"
    if not len(errors):
        return f"{line}; no size between the smallest and the largest has the lowest loss anywhere"
    rms = float(np.sqrt((errors**2).mean()))
    return (
        f"{line}; the lowest losses lie {errors.mean():+.1%} from it (root mean square {rms:.1%})"
    )
