"""Loss against the least steps and the least compute, from curves of several sizes and batches.

Kaplan et al. 2020 (arXiv 2001.08361), section 5: a run of any batch is adjusted to the steps that
it would take far above the critical batch, `S_min = S / (1 + B_crit / B)` (5.4), and to the compute
that it would take far below, `C_min = C / (1 + B / B_crit)` (5.5). L(N, S_min) (5.6) is fitted to
the adjusted curves, and its optimum gives L(C_min) and the allocation of Table 6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.adjusted_curves import (
    adjusted_to,
    envelope_of,
    points_of,
    refitted,
    searched,
)
from scaling_jax.laws.approaches.critical_batch import (
    CriticalBatch,
    Interval,
    critical_batch,
    log_law,
)
from scaling_jax.laws.approaches.steps_to_loss import Curve, steps_to
from scaling_jax.laws.conventions import PARAMS_COLUMN, Count
from scaling_jax.laws.kaplan_frontier import KaplanFrontier, KaplanOptimum
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    import pandas as pd

_LEAST_SIZES = 3
_LOSSES = 5
# Constants of the frontier, which leave fewer runs free for its error.
_SCALES = ("A", "B", "B_star")
_CONSTANTS = ("A", "alpha_N", "B", "alpha_S", "B_star", "inverse_alpha_B")


@dataclass(frozen=True)
class MinimumCompute:
    """L(N, S_min), B_crit(L) and the optimum under both, with intervals.

    Attributes:
        frontier: the fitted constants; `at` gives the best run of a budget.
        intervals: every constant of `frontier`, with the ends of its interval.
        exponents: powers of C_min: `loss` (falling), `params`, `batch`, `steps` and `tokens`.
        critical: the critical batches by size and loss.
        adjusted: the rows of the curves: `run_id`, `params`, `batch_tokens`, `loss`,
            `critical_batch`, `steps_min`, `flops_min`, the loss by the law (`fitted`), and whether
            a row was `settled`, after a tenth of its run's tokens. The law is fitted to those.
        envelope: the lowest loss at each of several `flops_min` whose best size by the law lies
            within the sizes of the runs, the size that has the lowest loss, and the optimum under
            the law (`best_loss`, `best_params`). It can be empty.
        loss_exponent: power of C_min by which the losses of the envelope fall, and its interval.
        level: of the intervals.
    """

    frontier: KaplanFrontier
    intervals: Mapping[str, Interval]
    exponents: Mapping[str, Interval]
    critical: CriticalBatch
    adjusted: "pd.DataFrame"
    envelope: "pd.DataFrame"
    loss_exponent: Interval
    level: float

    @property
    def scatter(self) -> float:
        """Root mean square of the log of a loss over the law."""
        rows = self.adjusted[self.adjusted["settled"]]
        return float(np.sqrt(np.mean(np.log(rows["loss"] / rows["fitted"]) ** 2)))

    def at(self, flops_min: float) -> KaplanOptimum:
        """The best run of a budget C_min, in FLOPs."""
        return self.frontier.at(flops_min)

    def __str__(self) -> str:
        names = {"loss": "L", "params": "N", "batch": "B_crit", "steps": "S_min", "tokens": "E_min"}
        published = KaplanFrontier.published().exponents
        rows = [
            (names[name], _text(found), f"{published[name]:.3g}")
            for name, found in self.exponents.items()
        ]
        table = Table(("power of C_min", "here", "by Kaplan's table 3"), rows)
        constants = ", ".join(f"{name} {_text(found)}" for name, found in self.intervals.items())
        scatter = f"losses scatter by {100 * self.scatter:.2g} % about it"
        off = np.log(self.envelope["loss"] / self.envelope["best_loss"])
        if len(off) < _LEAST_SIZES:
            against = "no optimum of it lies among the runs"
        else:
            against = (
                f"the lowest at a C_min lie {100 * off.mean():+.2g} % from its optimum (root mean "
                f"square {100 * np.sqrt((off**2).mean()):.2g} %) and fall as C_min to the power "
                f"-{_text(self.loss_exponent)}"
            )
        return f"{table}\nL(N, S_min): {constants}\n{scatter}; {against}"


def minimum_compute(
    curves: "pd.DataFrame",
    targets: Sequence[float] | int = _LOSSES,
    *,
    count: Count = "non_embedding",
    level: float = 0.95,
) -> MinimumCompute:
    """Fit L(N, S_min) to curves of several sizes and batches, and the optimum of every C_min.

    Compute is `6 N E`, with N as `count` says. The intervals are those of a jackknife over runs,
    each of which also gives other critical batches, with Student's t for the runs that the six
    constants leave free. They do not hold the error of the law's form, which has no floor.

    Args:
        curves: as of `scaling_jax.curves`.
        targets: losses at which critical batches are measured, as for `critical_batch`.
        count: which parameters N counts.
        level: of the intervals.

    Raises:
        InputError: as for `critical_batch`; fewer than three sizes; critical batches that do not
            grow as the loss falls, or losses that do not fall with size and steps.
    """
    column = PARAMS_COLUMN[count]
    if column not in curves:
        raise InputError(f"the curves lack the column {column!r}: give sj.curves(store)")
    curves = curves[curves["loss"].notna()]
    if (n := curves[column].nunique()) < _LEAST_SIZES:
        raise InputError(
            f"curves of {n} model sizes do not determine L(N, S_min): train at least {_LEAST_SIZES}"
        )
    critical = critical_batch(curves, targets, level=level)
    losses = sorted(set(critical.table["loss"]))
    star, inverse = _batch_law(critical)
    points = points_of(curves, column)
    point = searched(points[points["settled"]], star, inverse)
    frontier = _frontier(point, star, inverse)
    adjusted = adjusted_to(points, frontier)
    envelope = envelope_of(adjusted, frontier)
    whole = _estimates(frontier, envelope)
    without = [
        found
        for run in points["run_id"].unique()
        if (found := _without(curves, points, run, losses, point)) is not None
    ]
    ends = _ends(whole, without, points["run_id"].nunique(), level)
    return MinimumCompute(
        frontier=frontier,
        intervals={name: ends[name] for name in _CONSTANTS},
        exponents={name: ends[f"C_{name}"] for name in frontier.exponents},
        critical=critical,
        adjusted=adjusted,
        envelope=envelope,
        loss_exponent=ends["envelope"],
        level=level,
    )


def _text(interval: Sequence[float]) -> str:
    value, low, high = interval
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def _batch_law(critical: CriticalBatch) -> tuple[float, float]:
    """B_star and 1 / alpha_B.

    Raises:
        InputError: there is no law, or the critical batch falls with the loss.
    """
    critical.at(1.0)
    assert critical.law is not None
    return critical.law["B_star"][0], 1 / critical.law["alpha_B"][0]


def _frontier(point_P: np.ndarray, star: float, inverse: float) -> KaplanFrontier:
    a, alpha_n, b, alpha_s = map(float, point_P)
    return KaplanFrontier(a, alpha_n, b, alpha_s, star, inverse)


def _estimates(frontier: KaplanFrontier, envelope: "pd.DataFrame") -> dict[str, float]:
    slope = np.nan
    if len(envelope) >= _LEAST_SIZES:
        slope = np.polyfit(np.log(envelope["flops_min"]), np.log(envelope["loss"]), 1)[0]
    return {
        **{name: getattr(frontier, name) for name in _CONSTANTS},
        **{f"C_{name}": value for name, value in frontier.exponents.items()},
        "envelope": -float(slope),
    }


def _without(
    curves: "pd.DataFrame",
    points: "pd.DataFrame",
    run: str,
    losses: Sequence[float],
    start_P: np.ndarray,
) -> dict[str, float] | None:
    """The estimates without one run; None where the other runs do not give them."""
    runs = [Curve.of(rows) for name, rows in curves.groupby("run_id") if name != run]
    law = log_law(steps_to(runs, losses))
    if law is None or law[1] < 0:
        return None
    star, inverse = float(np.exp(law[0])), float(law[1])
    kept = points[points["run_id"] != run]
    constants_P = refitted(kept[kept["settled"]], star, inverse, start_P)
    frontier = _frontier(constants_P, star, inverse)
    return _estimates(frontier, envelope_of(adjusted_to(kept, frontier), frontier))


def _ends(
    whole: Mapping[str, float], without: Sequence[Mapping[str, float]], n: int, level: float
) -> dict[str, Interval]:
    """Each estimate with its interval; unbounded where a jackknife sample has no estimate."""
    from scipy.stats import t as student

    free = n - len(_CONSTANTS)
    if len(without) < n or free < 1:
        return {
            name: (value, 0.0 if name in _SCALES else -np.inf, np.inf)
            for name, value in whole.items()
        }
    t = float(student.ppf((1 + level) / 2, free))
    found: dict[str, Interval] = {}
    for name, value in whole.items():
        # Scales are far from normal, but their logarithms are near it.
        log = name in _SCALES
        values_R = np.array([each[name] for each in without])
        reach = t * np.sqrt((n - 1) * (np.log(values_R) if log else values_R).var())
        reach = reach if np.isfinite(reach) else np.inf
        low, high = value - reach, value + reach
        if log:
            low, high = value * np.exp(-reach), value * np.exp(reach)
        found[name] = (value, float(low), float(high))
    return found
