"""The end of a loss curve, and whether the curve is that of a finished run."""

import json
import random
from typing import Any

import pytest

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig
from scaling_jax.runs.curve import curve_digest, curve_fault, smoothed_loss
from scaling_jax.runs.result import Result
from scaling_jax.shapes import Family
from tests.made_up import made_up_result

CONFIG = RunConfig(
    shape=Family(vocab_size=256, seq_len=32).nearest(5e3),
    optimizer=OptimizerConfig(peak_lr=1e-2, warmup_steps=4),
    data=DataConfig(),
    steps=40,
    batch_size=8,
    eval_tokens=4096,
)
Rows = list[dict[str, Any]]


def curve(seed: int = 0) -> Rows:
    noise = random.Random(seed)
    return [
        {"step": k, "tokens": 256 * k, "loss": 2 + 3 / k + 0.1 * noise.random()}
        for k in range(1, CONFIG.steps + 1)
    ]


def result(*, digest: bool = True) -> Result:
    """The result of the run with `curve()`; without a digest, as earlier versions wrote it."""
    end = smoothed_loss([row["loss"] for row in curve()])
    made = curve_digest(curve()) if digest else None
    return made_up_result(CONFIG, 2.0, train_loss=end, curve=made)


def test_the_training_loss_is_that_of_the_last_twentieth_or_ten_steps() -> None:
    assert smoothed_loss([9.0] * 5 + [1.0] * 10) == 1.0
    assert smoothed_loss([9.0] * 380 + [2.0, 4.0] * 10) == 3.0


@pytest.mark.parametrize("digest", [True, False])
def test_the_curve_of_a_finished_run_is_whole_after_it_was_stored(digest: bool) -> None:
    stored = [json.loads(json.dumps(row)) for row in curve()]
    assert curve_fault(stored, result(digest=digest), CONFIG) is None


def changed(step: int, **values: Any) -> Rows:
    rows = curve()
    rows[step - 1] |= values
    return rows


DAMAGED = {
    "no lines": ([], "after 0 of 40 steps"),
    "the end is missing": (curve()[:-1], "after 39 of 40 steps"),
    "a step twice": ([*curve()[:-1], curve()[-2]], "step 39 where step 40 belongs"),
    "a step too many": ([*curve(), {"step": 41}], "41 lines for 40 steps"),
    "out of order": (curve()[::-1], "step 40 where step 1 belongs"),
    "a loss of null": (changed(7, loss=None), "loss None at step 7"),
    "a loss of NaN": (changed(7, loss=float("nan")), "loss nan at step 7"),
    "an infinite loss": (changed(7, loss=float("inf")), "loss inf at step 7"),
    "a negative loss": (changed(7, loss=-1.0), "loss -1.0 at step 7"),
    "a loss of text": (changed(7, loss="low"), "loss low at step 7"),
    "other tokens": (changed(7, tokens=1), "tokens 1 at step 7, not 1,792"),
}
PLAUSIBLE = {
    "another run's curve": (curve(seed=1), "changed|ends at a loss"),
    "halved losses": ([r | {"loss": r["loss"] / 2} for r in curve()], "changed|ends at a loss"),
}


@pytest.mark.parametrize("name", [*DAMAGED, *PLAUSIBLE])
@pytest.mark.parametrize("digest", [True, False])
def test_a_damaged_curve_has_a_fault(name: str, digest: bool) -> None:
    rows, reason = (DAMAGED | PLAUSIBLE)[name]
    fault = curve_fault(rows, result(digest=digest), CONFIG)
    assert fault is not None
    assert any(part in fault for part in reason.split("|"))


def test_one_edited_loss_in_the_middle_has_a_fault() -> None:
    assert curve_fault(changed(7, loss=2.5), result(), CONFIG) is not None
