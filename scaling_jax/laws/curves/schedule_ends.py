"""The end of a run by a law of schedules, with an interval from runs whose ends are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.curves.schedule_forms import ScheduleLawName
from scaling_jax.laws.curves.schedule_law import ScheduleLaw, fit_schedule_law
from scaling_jax.laws.curves.scheduled import ScheduledCurve

# Two curves and the run itself show nothing of how well a third is predicted.
LEAST_CURVES = 3
# Schedules whose rates differ by less than this share of the peak at equal shares are alike.
_SAME_SHAPE = 0.02


@dataclass(frozen=True)
class CurveEnd:
    """The loss at which a run will end, by a law of schedules.

    Attributes:
        name: of the run.
        progress: share of its steps that its curve has; 0 for a run that has not begun.
        loss: expected at the end.
        interval: where the loss will lie, at `level`.
        level: of the interval.
        law: the fitted law.
        curves: names of the curves that the law was fitted to.
        left_out: relative error of the end of each of these, predicted by the others.
    """

    name: str
    progress: float
    loss: float
    interval: Interval
    level: float
    law: ScheduleLaw
    curves: tuple[str, ...]
    left_out: tuple[float, ...]


def predict_end(
    run: ScheduledCurve,
    finished: Sequence[ScheduledCurve],
    name: ScheduleLawName = "momentum",
    *,
    level: float = LEVEL,
) -> CurveEnd:
    """Predict the loss at the end of a run from finished runs of the same model.

    The law is fitted to the finished curves and to what the run's own curve has so far. The
    interval is Student's, from the errors of predicting each finished curve's end from the others
    and from as much of its own beginning.

    Args:
        run: the schedule of the run, with the losses so far, which can be none.
        finished: complete curves of the same model and text under other schedules or lengths.
        name: of the law.
        level: of the interval.

    Raises:
        InputError: fewer than 3 finished curves, a curve that has not come to its end, or curves
            whose schedules all have one shape and one length, which show nothing of others.
    """
    return ends_of([run], finished, fit_finished(finished, name), level)[0]


def fit_finished(
    finished: Sequence[ScheduledCurve], name: ScheduleLawName = "momentum"
) -> ScheduleLaw:
    """The law of finished runs that differ in schedule or length.

    Raises:
        InputError: as `predict_end`.
    """
    _require_finished(finished)
    return fit_schedule_law(finished, name)


def ends_of(
    runs: Sequence[ScheduledCurve],
    finished: Sequence[ScheduledCurve],
    alone: ScheduleLaw,
    level: float = LEVEL,
) -> list[CurveEnd]:
    """The ends of several runs of one model, as `predict_end` gives them.

    Args:
        runs: schedules, with the losses so far.
        finished: complete curves of the same model.
        alone: the law fitted to these.
        level: of the intervals.

    Raises:
        InputError: a level that is no probability.
    """
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1")
    found, errors_at = [], dict[float, tuple[float, ...]]()
    for run in runs:
        law = alone
        if len(run.thinned().step_T):
            law = fit_schedule_law([*finished, run], alone.name, near=alone)
        share = round(run.progress, 2)
        if share not in errors_at:
            errors_at[share] = _left_out(finished, alone, share)
        errors = errors_at[share]
        loss = law.end(run) * _to_measured(law, finished)
        half = half_width(errors, level)
        interval = (loss * math.exp(-half), loss * math.exp(half))
        names = tuple(curve.name for curve in finished)
        found.append(CurveEnd(run.name, run.progress, loss, interval, level, law, names, errors))
    return found


def _left_out(
    finished: Sequence[ScheduledCurve], alone: ScheduleLaw, share: float
) -> tuple[float, ...]:
    """Relative errors of each curve's end, predicted by the others and its own beginning."""
    errors = []
    for i, other in enumerate(finished):
        others = [*finished[:i], *finished[i + 1 :]]
        law = fit_schedule_law([*others, other.until(share)], alone.name, near=alone)
        errors.append(law.end(other) * _to_measured(law, others) / other.end - 1)
    return tuple(errors)


def _to_measured(law: ScheduleLaw, finished: Sequence[ScheduledCurve]) -> float:
    """What measured ends are of the law's, as where curves are of training losses."""
    ratios = [
        math.log(curve.measured_end / law.end(curve))
        for curve in finished
        if curve.measured_end is not None
    ]
    return math.exp(float(np.mean(ratios))) if ratios else 1.0


def half_width(errors: Sequence[float], level: float) -> float:
    """Half the width of Student's interval of a relative error, from errors of others about zero.

    Three curves can be too alike to show all of the error. Gaussian quantiles held fewer ends than
    their level says (docs/curves.md).
    """
    from scipy import stats

    rms = math.sqrt(float(np.mean(np.square(errors))))
    return float(stats.t.ppf((1 + level) / 2, len(errors))) * rms


def same_shape(a: ScheduledCurve, b: ScheduledCurve) -> bool:
    """Whether two schedules have the same rates at equal shares of their runs, up to the peak."""
    at = np.linspace(0.0, 1.0, 101)
    shapes = []
    for curve in (a, b):
        share_S = np.arange(1, curve.steps + 1) / curve.steps
        shapes.append(np.interp(at, share_S, curve.lr_S / curve.lr_S.max()))
    # Warm-ups of whole steps differ a little.
    return bool(np.mean(np.abs(shapes[0] - shapes[1])) < _SAME_SHAPE)


def _require_finished(finished: Sequence[ScheduledCurve]) -> None:
    if len(finished) < LEAST_CURVES:
        raise InputError(
            f"{len(finished)} finished curves: a law of schedules is fitted to {LEAST_CURVES} or "
            "more, so that the error of predicting each from the others is known"
        )
    for curve in finished:
        if curve.progress < 0.99:
            raise InputError(
                f"curve {curve.name!r} ends at {curve.progress:.0%} of its schedule: the law is "
                "fitted to finished runs, so leave it out, or cut its schedule"
            )
    first = finished[0]
    if all(same_shape(first, other) and first.steps == other.steps for other in finished[1:]):
        raise InputError(
            f"all {len(finished)} finished curves have the schedule of {first.name!r}, and say "
            "nothing of another schedule or length: add runs that differ in either"
        )
