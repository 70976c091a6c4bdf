"""A law of schedules fitted to curves: the loss along a run under any schedule."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.curves.schedule_forms import (
    FORMS,
    ScheduleForm,
    ScheduleLawName,
    summed_rates,
)
from scaling_jax.laws.curves.scheduled import ScheduledCurve

# Relative error of a point for which priors count as one point does.
_POINT_ERROR = 0.003
_LEAST_POINTS = 10


@dataclass(frozen=True)
class ScheduleLaw:
    """A law of schedules with its constants.

    Attributes:
        name: `momentum` or `multi-power`.
        constants: `L0` and `A` of the law, `gain`, which a unit of fallen rate wins, and those
            that were searched: `alpha`, and `memory` in steps, or `beta`, `C` and `gamma`.
        unidentified: searched constants that ended at a bound, or that their prior decides.
        rms: root mean square of the residuals, as a share of the loss.
    """

    name: ScheduleLawName
    constants: dict[str, float]
    unidentified: tuple[str, ...]
    rms: float

    def losses(self, curve: ScheduledCurve, step_T: np.ndarray) -> np.ndarray:
        """The loss after each of the steps of a run under the curve's schedule."""
        form, step_T = FORMS[self.name], np.asarray(step_T, np.int64)
        searched = [self.constants[each.name] for each in form.coordinates]
        linear_3 = np.array([self.constants[name] for name in ("L0", "A", "gain")])
        return np.asarray(_columns(form, curve, step_T, searched) @ linear_3)

    def end(self, curve: ScheduledCurve) -> float:
        """The loss after the last step of the curve's schedule."""
        return float(self.losses(curve, np.array([curve.steps]))[0])


def fit_schedule_law(
    curves: Sequence[ScheduledCurve],
    name: ScheduleLawName = "momentum",
    *,
    near: ScheduleLaw | None = None,
) -> ScheduleLaw:
    """Fit a law of schedules to curves of one model by least squares of relative residuals.

    Args:
        curves: runs of one model on one text that differ in schedule or length.
        name: `momentum` (Tissue et al. 2024) or `multi-power` (Luo et al. 2025).
        near: a fit of nearly the same curves, from which the search starts.

    Raises:
        InputError: an unknown law, or curves of which none has a rate that falls.
    """
    if name not in FORMS:
        raise InputError(f"unknown law of schedules {name!r}{suggestion(str(name), list(FORMS))}")
    thin = [curve.thinned() for curve in curves]
    thin = [curve for curve in thin if len(curve.step_T)]
    n_points = sum(len(curve.step_T) for curve in thin)
    if n_points < _LEAST_POINTS:
        raise InputError(
            f"{n_points} losses after the warm-up do not determine a law of schedules: give curves "
            f"of {_LEAST_POINTS} points or more"
        )
    return _Search(FORMS[name], thin).best(near)


def _columns(
    form: ScheduleForm, curve: ScheduledCurve, step_T: np.ndarray, searched: Sequence[float]
) -> np.ndarray:
    """What `L0`, `A` and the gain multiply, `Tx3`."""
    power_T = summed_rates(curve, step_T) ** -searched[0]
    return np.stack([np.ones(len(step_T)), power_T, -form.gains(curve, step_T, searched)], axis=1)


class _Search:
    """The search for the constants of a law that fits curves."""

    def __init__(self, form: ScheduleForm, curves: Sequence[ScheduledCurve]) -> None:
        self.form, self.curves = form, curves
        self.loss_N = np.concatenate([curve.loss_T for curve in curves])
        # Every curve counts alike, however many points it has.
        mean = len(self.loss_N) / len(curves)
        self.weight_N = np.concatenate(
            [np.full(len(curve.step_T), (mean / len(curve.step_T)) ** 0.5) for curve in curves]
        )
        bounds = np.log([[each.low, each.high] for each in form.coordinates])
        self.low_P, self.high_P = bounds.T

    def best(self, near: ScheduleLaw | None) -> ScheduleLaw:
        """The fit with the least squares over all starts, or from one."""
        from scipy.optimize import least_squares

        found = [
            least_squares(self.residuals, start_P, bounds=(self.low_P, self.high_P), diff_step=1e-4)
            for start_P in self.starts(near)
        ]
        return self.law(min(found, key=lambda each: float(each.cost)).x)

    def starts(self, near: ScheduleLaw | None) -> list[np.ndarray]:
        """Logarithms of the searched constants from which a descent starts."""
        names = [each.name for each in self.form.coordinates]
        if near is not None:
            given = [np.log([near.constants[name] for name in names])]
        else:
            grid = itertools.product(*(each.starts for each in self.form.coordinates))
            given = [np.log(each) for each in grid]
        inner = 1e-6 * (self.high_P - self.low_P)
        return [np.clip(each, self.low_P + inner, self.high_P - inner) for each in given]

    def residuals(self, log_P: np.ndarray) -> np.ndarray:
        """Weighted relative residuals, then those of the priors."""
        design_Nx3, linear_3 = self.linear(np.exp(log_P))
        data_N = self.weight_N * (design_Nx3 @ linear_3 / self.loss_N - 1)
        return np.concatenate([data_N, self.priors(log_P)])

    def priors(self, log_P: np.ndarray) -> np.ndarray:
        """How far constants lie from their priors, in units of a point's error."""
        pairs = zip(log_P, self.form.coordinates, strict=True)
        return np.array(
            [
                _POINT_ERROR * (x - math.log(each.centre)) / each.spread
                for x, each in pairs
                if each.centre is not None
            ]
        )

    def linear(self, searched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the linear constants multiply, `Nx3`, and the constants, none below 0."""
        from scipy.optimize import nnls

        design_Nx3 = np.concatenate(
            [_columns(self.form, curve, curve.step_T, list(searched)) for curve in self.curves]
        )
        scaled_Nx3 = design_Nx3 * (self.weight_N / self.loss_N)[:, None]
        size_3 = np.linalg.norm(scaled_Nx3, axis=0)
        size_3 = np.where(size_3 > 0, size_3, 1.0)
        # A gain is positive: `_columns` has its sign.
        linear_3, _ = nnls(scaled_Nx3 / size_3, self.weight_N)
        return design_Nx3, linear_3 / size_3

    def law(self, log_P: np.ndarray) -> ScheduleLaw:
        """The law at the optimum."""
        searched = np.exp(log_P)
        design_Nx3, linear_3 = self.linear(searched)
        relative_N = design_Nx3 @ linear_3 / self.loss_N - 1
        names = [each.name for each in self.form.coordinates]
        return ScheduleLaw(
            name=self.form.name,
            constants=dict(zip(("L0", "A", "gain"), map(float, linear_3), strict=True))
            | dict(zip(names, map(float, searched), strict=True)),
            unidentified=self.unidentified(log_P, linear_3),
            rms=math.sqrt(float(np.mean(relative_N**2))),
        )

    def unidentified(self, log_P: np.ndarray, linear_3: np.ndarray) -> tuple[str, ...]:
        """Constants at a bound, and those that the curves move less than their prior."""
        names = [each.name for each in self.form.coordinates]
        width_P = self.high_P - self.low_P
        at_bound_P = np.minimum(log_P - self.low_P, self.high_P - log_P) < 1e-3 * width_P
        found = {name for name, there in zip(names, at_bound_P, strict=True) if there}
        if linear_3[2] == 0:
            found.update(name for name in names if name != "alpha")
        step = 1e-3
        for p, each in enumerate(self.form.coordinates):
            if each.centre is None:
                continue
            moved_P = log_P + step * (np.arange(len(log_P)) == p)
            n = len(self.loss_N)
            slope_N = (self.residuals(moved_P)[:n] - self.residuals(log_P)[:n]) / step
            # With the other constants held: the most that the curves can say of this one.
            if np.linalg.norm(slope_N) < _POINT_ERROR / each.spread:
                found.add(each.name)
        return tuple(name for name in names if name in found)
