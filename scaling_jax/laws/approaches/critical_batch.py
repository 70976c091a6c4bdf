"""The critical batch from runs of several batches that reach the same losses.

McCandlish et al. 2018 (1812.06162) and Kaplan et al. 2020 (2001.08361), section 5.1: training to a
loss in S steps on E tokens follows `(S / S_min - 1) (E / E_min - 1) = 1` as the batch varies, so
`S = S_min (1 + B_crit / B)` with `B_crit = E_min / S_min`; and `B_crit = B_star / L^(1 / alpha_B)`
at all sizes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.steps_to_loss import (
    Curve,
    Points,
    check_reached,
    chosen_losses,
    steps_to,
)
from scaling_jax.laws.catalogue import KAPLAN_CRITICAL_BATCH
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("run_id", "params", "step", "tokens", "loss")
# Two constants are fitted, and one more batch size shows how well they hold.
_LEAST_BATCHES = 3
# A critical batch is looked for up to this factor beyond the batches; what is there is unbounded.
_BEYOND = 1e3

# Level of the intervals that weigh critical batches, and the least width in logs that counts.
_WEIGHT_LEVEL, _NARROWEST = 0.5, 0.01

# An estimate and the ends of its interval.
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class CriticalBatch:
    """Critical batches by size and target loss, and their law over the loss.

    Attributes:
        table: a row for each size and target loss that three batches reach: `params`, `loss`,
            `batches` (their number), and `steps_min`, `tokens_min` and `critical_batch` (tokens),
            each with the ends `_low` and `_high` of its interval. An end that the batches do not
            bound is 0 or infinite.
        law: `B_star` and `alpha_B` of equation 5.3, each with the ends of its interval, which need
            four batches; None with fewer than two losses that have a critical batch.
        level: of the intervals.
        points: the measured steps and tokens behind `table`, a row for each `batch_tokens`, with
            `identity`, the left side of equation 5.1, which is 1 where the equation holds.
    """

    table: "pd.DataFrame"
    law: Mapping[str, Interval] | None
    level: float
    points: "pd.DataFrame"

    def at(self, loss: float) -> float:
        """The critical batch in tokens at a loss, by the law.

        Raises:
            InputError: there is no law, or by the law the critical batch falls with the loss.
        """
        if self.law is None:
            raise InputError(f"there is no critical batch at the loss {loss:g}: {_NO_LAW}")
        if not np.isfinite(self.law["alpha_B"][0]):
            raise InputError(
                f"there is no critical batch at the loss {loss:g}: the measured ones do not grow "
                "as the loss falls; train batches on both sides of them, at more losses"
            )
        constants = [self.law["B_star"][0], 1 / self.law["alpha_B"][0]]
        return float(KAPLAN_CRITICAL_BATCH.value(constants, {"loss": loss}))

    def __str__(self) -> str:
        names = ("steps_min", "tokens_min", "critical_batch")
        cells = [
            (
                f"{row['params']:,.0f}",
                f"{row['loss']:.4g}",
                f"{row['batches']:.0f}",
                *(_text([row[name], row[f"{name}_low"], row[f"{name}_high"]]) for name in names),
            )
            for row in self.table.to_dict("records")
        ]
        table = str(Table(("params", "loss", "batches", *names), cells))
        if self.law is None:
            return f"{table}\n{_NO_LAW}"
        star, alpha = _text(self.law["B_star"]), _text(self.law["alpha_B"])
        return f"{table}\nB_crit = B_star / L^(1 / alpha_B), B_star {star} tokens, alpha_B {alpha}"


_NO_LAW = "no law over the loss: it needs two losses with a critical batch"


def critical_batch(
    curves: "pd.DataFrame", targets: Sequence[float] | int = 5, *, level: float = 0.95
) -> CriticalBatch:
    """The critical batch at each target loss, from curves of runs with several batch sizes.

    The steps to a loss are those after which a run's curve first reaches it, linear in the
    logarithm of the tokens between points. Where several runs have one size, batch and seed, such
    as with several learning rates, the fastest counts; over seeds the geometric mean of the steps
    counts. `S_min` and `B_crit` are fitted by least squares in log S, and their intervals are
    profiles, with Student's t for the residuals of a few batches.
    The intervals of the law are those of a jackknife over batch sizes, because the points of a run
    are correlated.

    Args:
        curves: as of `scaling_jax.curves`: `run_id`, `params`, `step`, `tokens` and `loss`, and
            `seed` where there are several.
        targets: losses in nats per token, or how many of them to choose in the last quarter of the
            range that every run passes.
        level: of the intervals.

    Raises:
        InputError: a column is missing, a target that no run reaches, or no size with three batches
            that reach a target.
    """
    import pandas as pd

    missing = [name for name in _COLUMNS if name not in curves]
    if missing:
        raise InputError(f"the curves lack the column {missing[0]!r}: give sj.curves(store)")
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1")
    runs = [Curve.of(rows) for _, rows in curves[curves["loss"].notna()].groupby("run_id")]
    losses = chosen_losses(runs, targets) if isinstance(targets, int) else list(map(float, targets))
    check_reached(runs, losses)
    points = steps_to(runs, losses)
    rows = [
        {"params": params, "loss": loss, **_fitted(batch_K, steps_K, level)}
        for (params, loss), (batch_K, steps_K) in points.items()
        if len(batch_K) >= _LEAST_BATCHES
    ]
    if not rows:
        most = max((len(batch_K) for batch_K, _ in points.values()), default=0)
        raise InputError(
            f"at most {most} batch sizes of one model size reach a target loss: train at least "
            f"{_LEAST_BATCHES}, or choose higher losses"
        )
    table = pd.DataFrame(rows).sort_values(["params", "loss"], ascending=[True, False])
    table = table.reset_index(drop=True)
    return CriticalBatch(table, _law(points, level), level, _measured(points, table))


def _measured(points: Points, table: "pd.DataFrame") -> "pd.DataFrame":
    """Steps and tokens of every batch to every loss of the table, and the left side of 5.1."""
    import pandas as pd

    rows = []
    for fitted in table.to_dict("records"):
        params, loss = fitted["params"], fitted["loss"]
        for batch, steps in zip(*points[params, loss], strict=True):
            tokens = batch * steps
            identity = (steps / fitted["steps_min"] - 1) * (tokens / fitted["tokens_min"] - 1)
            rows.append((params, loss, batch, steps, tokens, identity))
    columns = ["params", "loss", "batch_tokens", "steps", "tokens", "identity"]
    return pd.DataFrame(rows, columns=columns)


def _text(interval: Sequence[float]) -> str:
    value, low, high = interval
    return f"{value:,.4g} ({low:,.3g} to {high:,.3g})"


def _profile(batch_K: np.ndarray, steps_K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logs of B_crit on a fine grid, the best log S_min at each, and the sum of squares there."""
    grid_G = np.linspace(np.log(batch_K[0] / _BEYOND), np.log(batch_K[-1] * _BEYOND), 4001)
    left_GxK = np.log(steps_K) - np.logaddexp(0, grid_G[:, None] - np.log(batch_K))
    steps_G = left_GxK.mean(axis=1)
    return grid_G, steps_G, ((left_GxK - steps_G[:, None]) ** 2).sum(axis=1)


def _fitted(batch_K: np.ndarray, steps_K: np.ndarray, level: float) -> dict[str, float]:
    """S_min, E_min and B_crit with their intervals; an end that is not bounded is 0 or infinite."""
    from scipy.stats import t as student

    k = len(batch_K)
    grid_G, steps_G, squares_G = _profile(batch_K, steps_K)
    best = int(squares_G.argmin())
    t = float(student.ppf((1 + level) / 2, k - 2))
    inside_G = (room_G := squares_G[best] * (1 + t**2 / (k - 2)) - squares_G) >= 0
    # At a given B_crit, log S_min and log E_min can move together by this much.
    moves_G = np.sqrt(np.where(inside_G, room_G, 0) / k)
    found: dict[str, float] = {"batches": k}
    for name, log_G, move_G in (
        ("steps_min", steps_G, moves_G),
        ("tokens_min", steps_G + grid_G, moves_G),
        ("critical_batch", grid_G, np.zeros_like(grid_G)),
    ):
        found[name] = float(np.exp(log_G[best]))
        found[f"{name}_low"] = float(np.exp((log_G - move_G)[inside_G].min()))
        found[f"{name}_high"] = float(np.exp((log_G + move_G)[inside_G].max()))
    # With batches far below critical S_min is not bounded below, and far above E_min is not.
    if inside_G[0]:
        found["tokens_min_low"] = found["critical_batch_low"] = 0.0
    if inside_G[-1]:
        found["steps_min_low"], found["critical_batch_high"] = 0.0, np.inf
    return found


def _law(points: Points, level: float) -> Mapping[str, Interval] | None:
    """Equation 5.3 with the intervals of a jackknife over batch sizes; None without a law.

    The intervals are unbounded where the other batches do not give a law.
    """
    from scipy.stats import t as student

    batches = sorted({batch for batch_K, _ in points.values() for batch in batch_K})
    whole, n = log_law(points), len(batches)
    if whole is None:
        return None
    without = [law for batch in batches if (law := log_law(_without(points, batch))) is not None]
    reach_2 = np.full(2, np.inf)
    if len(without) == n:
        error_2 = np.sqrt((n - 1) * np.array(without).var(axis=0))
        reach_2 = student.ppf((1 + level) / 2, n - 1) * error_2
    low_2, high_2 = whole - reach_2, whole + reach_2
    star, low_star, high_star = map(float, np.exp([whole[0], low_2[0], high_2[0]]))
    alpha, low_alpha, high_alpha = (
        float(1 / inverse) if inverse > 0 else np.inf for inverse in (whole[1], high_2[1], low_2[1])
    )
    return {"B_star": (star, low_star, high_star), "alpha_B": (alpha, low_alpha, high_alpha)}


def _without(points: Points, batch: float) -> Points:
    return {
        key: (batch_K[batch_K != batch], steps_K[batch_K != batch])
        for key, (batch_K, steps_K) in points.items()
    }


def log_law(points: Points) -> np.ndarray | None:
    """Log B_star and 1 / alpha_B by least squares in logs; None with fewer than two losses.

    >>> batch = np.array([1e3, 4e3, 16e3])
    >>> steps = {loss: 100 * (1 + 8e4 / loss**3 / batch) for loss in (2.0, 4.0)}
    >>> star, inverse = log_law({(1e6, loss): (batch, steps[loss]) for loss in steps})
    >>> round(float(np.exp(star)), -3), round(float(inverse), 2)
    (80000.0, 3.0)

    Critical batches weigh by the squares of their intervals' widths; unbounded ones are left out.
    """
    found = []
    for (_, loss), (batch_K, steps_K) in points.items():
        if len(batch_K) >= _LEAST_BATCHES:
            fitted = _fitted(batch_K, steps_K, _WEIGHT_LEVEL)
            value, low, high = (fitted[f"critical_batch{end}"] for end in ("", "_low", "_high"))
            if 0 < low <= high < np.inf:
                found.append((np.log(loss), np.log(value), max(np.log(high / low), _NARROWEST)))
    if len({loss for loss, *_ in found}) < 2:
        return None
    x_N, y_N, width_N = np.array(found).T
    slope, at_one = np.polyfit(x_N, y_N, 1, w=1 / width_N)
    return np.array([at_one, -slope])
