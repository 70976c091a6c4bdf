"""Laws of schedules: constants that are found, ends of other schedules, input that is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.curves import (
    ScheduledCurve,
    ScheduleLaw,
    fit_schedule_law,
    predict_end,
    read_curve,
)
from scaling_jax.laws.curves.schedule_ends import fit_finished

PEAK, WARMUP = 1e-3, 100


def rates(shape: str, steps: int) -> np.ndarray:
    """Learning rates of a schedule with a linear warm-up."""
    x_S = np.clip((np.arange(steps) - WARMUP) / (steps - WARMUP), 0, 1)
    after_S = {
        "constant": np.ones(steps),
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * x_S)),
        "wsd": np.clip((1 - x_S) / 0.2, 0.02, 1),
        "two-stage": np.where(x_S < 0.5, 1.0, 0.3),
    }[shape]
    return PEAK * np.minimum(after_S, (np.arange(steps) + 1) / WARMUP)


MOMENTUM = ScheduleLaw(
    "momentum", dict(L0=2.5, A=0.5, gain=150.0, alpha=0.5, memory=200.0), (), 0.0
)
MULTI_POWER = ScheduleLaw(
    "multi-power", dict(L0=2.5, A=0.5, gain=150.0, alpha=0.5, beta=0.6, C=2.0, gamma=0.65), (), 0.0
)


def curve(law: ScheduleLaw, shape: str, steps: int, noise: float = 0.0) -> ScheduledCurve:
    """A curve that follows a law."""
    step_T = np.arange(150, steps + 1, max(1, steps // 100))
    step_T[-1] = steps
    empty = ScheduledCurve(f"{shape}-{steps}", rates(shape, steps), step_T, np.ones(len(step_T)))
    rng = np.random.default_rng(steps)
    loss_T = law.losses(empty, step_T) * np.exp(noise * rng.standard_normal(len(step_T)))
    return replace(empty, loss_T=loss_T)


def three(law: ScheduleLaw, noise: float = 0.0) -> list[ScheduledCurve]:
    shapes = ("cosine", "constant", "two-stage")
    return [curve(law, shape, 2000, noise) for shape in shapes]


@pytest.mark.parametrize("law", [MOMENTUM, MULTI_POWER], ids=lambda law: law.name)
def test_a_law_that_holds_predicts_another_schedule_and_a_longer_run(law: ScheduleLaw) -> None:
    found = fit_schedule_law(three(law), law.name)
    for shape, steps in (("wsd", 2000), ("cosine", 6000)):
        target = curve(law, shape, steps)
        assert found.end(target) == pytest.approx(law.end(target), rel=2e-3)


def test_constants_of_the_momentum_law_are_found() -> None:
    found = fit_schedule_law(three(MOMENTUM), "momentum")
    for name, value in MOMENTUM.constants.items():
        assert found.constants[name] == pytest.approx(value, rel=0.03), name
    assert found.unidentified == ()


def test_constants_that_only_falling_rates_tell_are_named_where_no_rate_falls() -> None:
    flat = [curve(MULTI_POWER, "constant", steps) for steps in (2000, 3000)]
    found = fit_schedule_law(flat, "multi-power")
    assert {"beta", "C", "gamma"} <= set(found.unidentified)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_interval_of_an_end_follows_the_noise(share: float) -> None:
    target = curve(MOMENTUM, "wsd", 2000, 0.002)
    end = predict_end(target.until(share), three(MOMENTUM, 0.002))
    assert end.loss == pytest.approx(MOMENTUM.end(target), rel=3e-3)
    assert 1e-4 < end.interval[1] / end.loss - 1 < 0.02
    assert end.interval[0] < end.loss < end.interval[1]
    assert end.progress == pytest.approx(share, abs=0.01)
    assert len(end.left_out) == 3


def test_ends_that_were_measured_otherwise_than_curves_are_predicted_as_measured() -> None:
    finished = [replace(each, measured_end=each.end * 1.02) for each in three(MOMENTUM)]
    target = curve(MOMENTUM, "wsd", 2000)
    end = predict_end(target.until(0.2), finished)
    assert end.loss == pytest.approx(1.02 * target.end, rel=2e-3)


def test_the_beginning_of_a_finished_curve_is_read_as_a_curve_that_has_come_so_far() -> None:
    whole = curve(MOMENTUM, "cosine", 2000)
    part = whole.until(0.3)
    assert part.step_T.max() <= 600
    assert part.steps == 2000
    assert part.measured_end is None


def test_a_table_of_a_logger_becomes_a_curve() -> None:
    table = pd.DataFrame(
        {"step": [10, 20, 40], "learning_rate": [1.0, 1.0, 0.5], "loss": [3.0, 2.5, None]}
    )
    made = read_curve(table, "mine")
    assert made.lr_S[[4, 9, 19, 29, 39]] == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5])
    assert made.step_T.tolist() == [10, 20]
    assert made.progress == 0.5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"step": [1, 2], "loss": [3.0, 2.0]}, "no column 'lr'"),
        ({"step": [20, 10], "lr": [1.0, 1.0], "loss": [3.0, 2.0]}, "ascend"),
        ({"step": [10, 20], "lr": ["x", 1.0], "loss": [3.0, 2.0]}, "row 1 has no number"),
        ({"step": [10, 20], "lr": [1.0, -1.0], "loss": [3.0, 2.0]}, "rates of 0 or above"),
        ({"step": [10, 20], "lr": [1.0, 1.0], "loss": [3.0, 0.0]}, "positive"),
    ],
)
def test_tables_that_are_no_curve_are_refused(table: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_curve(pd.DataFrame(table), "mine")


def test_curves_that_say_nothing_of_other_schedules_are_refused() -> None:
    alike = [replace(curve(MOMENTUM, "cosine", 2000), name=name) for name in "abc"]
    with pytest.raises(InputError, match="all 3 finished curves have the schedule of 'a'"):
        fit_finished(alike)
    with pytest.raises(InputError, match="2 finished curves"):
        fit_finished(three(MOMENTUM)[:2])
    with pytest.raises(InputError, match="ends at 30% of its schedule"):
        fit_finished([*three(MOMENTUM)[:2], three(MOMENTUM)[2].until(0.3)])
