"""Losses along a run together with the learning rate of each of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

RATES = ("lr", "learning_rate")
# A curve of every step is averaged to so many points, evenly spaced in the logarithm of the steps.
_POINTS = 80
# The share of a curve whose losses, on a line, give the loss at its end.
_LAST = 0.03
# Steps of a schedule at which its changes are summed, and so many more where it changes most.
_EVEN, _AT_CHANGES = 120, 80


@dataclass(frozen=True)
class ScheduledCurve:
    """A run's losses so far, and its learning rates to the end of its plan.

    Attributes:
        name: of the run, for messages.
        lr_S: learning rate of each step of the run, those to come included.
        step_T: numbers of steps after which a loss is known, ascending, from 1 on.
        loss_T: losses there, in nats per token.
        measured_end: the loss of the finished run where it is not that of the curve, such as the
            held-out loss beside a curve of training losses.

    Raises:
        InputError: rates or losses that are not positive and finite, steps that do not ascend or
            lie beyond the schedule, or a schedule of fewer than 10 steps.
    """

    name: str
    lr_S: np.ndarray
    step_T: np.ndarray
    loss_T: np.ndarray
    measured_end: float | None = None

    def __post_init__(self) -> None:
        lr_S, loss_T = (np.asarray(x, np.float64) for x in (self.lr_S, self.loss_T))
        step_T = np.asarray(self.step_T, np.int64)
        for name, value in (("lr_S", lr_S), ("step_T", step_T), ("loss_T", loss_T)):
            object.__setattr__(self, name, value)
        if len(lr_S) < 10 or not (np.isfinite(lr_S).all() and lr_S.min() >= 0 and lr_S.max() > 0):
            raise InputError(
                f"curve {self.name!r}: its schedule of {len(lr_S)} steps must have 10 steps or "
                "more and finite rates of 0 or above: give the rate of every step"
            )
        if len(loss_T) != len(step_T):
            raise InputError(f"curve {self.name!r}: {len(step_T)} steps and {len(loss_T)} losses")
        if len(loss_T) and not (np.isfinite(loss_T).all() and loss_T.min() > 0):
            raise InputError(f"curve {self.name!r}: losses must be positive and finite")
        if len(step_T) and not (
            step_T[0] >= 1 and (np.diff(step_T) > 0).all() and step_T[-1] <= len(lr_S)
        ):
            raise InputError(
                f"curve {self.name!r}: steps must ascend from 1 to at most the {len(lr_S)} steps "
                "of its schedule"
            )

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return len(self.lr_S)

    @property
    def progress(self) -> float:
        """Share of the run's steps up to its last loss; 0 without losses."""
        return float(self.step_T[-1] / self.steps) if len(self.step_T) else 0.0

    @property
    def warmup(self) -> int:
        """Number of steps before the first at the greatest rate."""
        return int(np.argmax(self.lr_S >= self.lr_S.max() * (1 - 1e-9)))

    @property
    def end(self) -> float:
        """The measured loss at the end; without one that of the curve, its noise smoothed out."""
        if self.measured_end is not None:
            return self.measured_end
        near_T = self.step_T >= (1 - _LAST) * self.step_T[-1]
        if near_T.sum() < 4:
            return float(self.loss_T[-1])
        x_T = self.step_T[near_T] / self.step_T[-1] - 1
        return float(np.polyfit(x_T, self.loss_T[near_T], 1)[1])

    def until(self, share: float) -> "ScheduledCurve":
        """The same run as it was after a share of its steps."""
        past_T = self.step_T <= share * self.steps * (1 + 1e-9)
        return replace(
            self, step_T=self.step_T[past_T], loss_T=self.loss_T[past_T], measured_end=None
        )

    def thinned(self) -> "ScheduledCurve":
        """The curve from the end of its warm-up on, averaged to at most 80 points.

        A curve of every step is noisy, and most of its points lie close to its end.
        """
        late_T = self.step_T > max(self.warmup, 1)
        step_T, loss_T = self.step_T[late_T], self.loss_T[late_T]
        if len(step_T) <= _POINTS:
            return replace(self, step_T=step_T, loss_T=loss_T)
        edges = np.geomspace(step_T[0], step_T[-1] + 1, _POINTS + 1)
        bin_T = np.digitize(step_T, edges)
        there = np.unique(bin_T)
        counts = [bin_T == each for each in there]
        means = np.array([[step_T[at].mean(), loss_T[at].mean()] for at in counts])
        steps, first = np.unique(np.round(means[:, 0]).astype(np.int64), return_index=True)
        return replace(self, step_T=steps, loss_T=means[first, 1])

    @property
    def changes(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps `K` at which the rate changes after the warm-up, and by how much it falls there.

        Changes of neighbouring steps are summed, to at most 280.
        """
        lr_S, first = self.lr_S, self.warmup
        drop_S = np.concatenate([[0.0], lr_S[:-1] - lr_S[1:]])
        drop_S[: first + 1] = 0.0
        total_S = np.cumsum(np.abs(drop_S))
        if not total_S[-1] > 0:
            return np.zeros(0, np.int64), np.zeros(0)
        even = np.linspace(first, self.steps, _EVEN + 1)
        often = np.searchsorted(total_S, np.linspace(0, total_S[-1], _AT_CHANGES + 1)[1:-1])
        edges = np.unique(np.concatenate([even, often, often + 1]).astype(np.int64))
        group_S = np.searchsorted(edges, np.arange(self.steps), side="right")
        there = np.unique(group_S[drop_S != 0])
        size = np.bincount(group_S, weights=np.abs(drop_S))
        at = np.bincount(group_S, weights=np.abs(drop_S) * np.arange(self.steps))
        fall = np.bincount(group_S, weights=drop_S)
        return np.round(at[there] / size[there]).astype(np.int64), fall[there]


def read_curve(table: "pd.DataFrame | Mapping[str, object]", name: str) -> ScheduledCurve:
    """A curve from rows of `step`, `lr` and `loss`, as loggers write them.

    Between two rows the rate is taken to be linear, and before the first to rise from 0. Rows
    without a loss are of steps to come.

    Raises:
        InputError: missing columns, cells that are no numbers, or rows out of order.
    """
    import pandas as pd

    frame = pd.DataFrame(table)
    rate = next((each for each in RATES if each in frame), None)
    if rate is None or "step" not in frame:
        raise InputError(
            f"{name} has no column {'step' if rate else 'lr'!r}: a curve has step, lr and loss, "
            f"and this table has {', '.join(map(str, frame.columns))}"
        )
    columns = [each for each in ("step", rate, "loss") if each in frame]
    numbers = frame[columns].apply(pd.to_numeric, errors="coerce")
    bad = numbers[["step", rate]].isna().any(axis=1).to_numpy()
    if bad.any():
        raise InputError(f"{name}: row {int(bad.argmax()) + 1} has no number for step or {rate}")
    step_R = numbers["step"].to_numpy(np.float64)
    if len(step_R) < 2 or not (np.diff(step_R) > 0).all() or step_R[0] < 0:
        raise InputError(f"{name}: steps must ascend, one row per step: sort the table by step")
    lr_S = np.interp(
        np.arange(1, int(step_R[-1]) + 1),
        np.concatenate([[0.0], step_R]) if step_R[0] > 0 else step_R,
        np.concatenate([[0.0], numbers[rate]]) if step_R[0] > 0 else numbers[rate].to_numpy(),
    )
    loss_R = (
        numbers["loss"].to_numpy(np.float64) if "loss" in numbers else np.full(len(step_R), np.nan)
    )
    known_R = np.isfinite(loss_R) & (step_R >= 1)
    return ScheduledCurve(name, lr_S, step_R[known_R].astype(np.int64), loss_R[known_R])
