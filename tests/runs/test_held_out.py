"""What is recorded of held-out losses."""

import dataclasses
import math

import numpy as np
import pytest

from scaling_jax.config import DataConfig, EvalSet, LogSpaced, OptimizerConfig, RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.runs.held_out import (
    HeldOutLoss,
    evaluated_without_gap,
    evaluation_row,
    evaluations_digest,
    evaluations_fault,
    held_out_loss,
    set_record,
)

SHAPE = Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=256, seq_len=16)
CONFIG = RunConfig(
    SHAPE,
    DataConfig(),
    OptimizerConfig(peak_lr=1e-2, warmup_steps=1),
    batch_size=2,
    steps=12,
    eval_tokens=160,
    eval_every=100,
    evals=(EvalSet("code", "stdlib"),),
)


def test_the_standard_error_is_over_sequences():
    found = held_out_loss(np.array([1.0, 2.0, 3.0, 6.0]), bytes_per_token=4.0)
    assert found.loss == 3.0
    # The sum of squares about the mean is 14, over 3 degrees of freedom and 4 sequences.
    assert found.stderr == pytest.approx(math.sqrt(14 / 3 / 4))
    assert found.bits_per_byte == pytest.approx(3.0 / math.log(2) / 4)


def test_a_single_sequence_has_no_standard_error():
    assert held_out_loss(np.array([2.0]), bytes_per_token=1.0).stderr is None


def curve(*losses):
    """A held-out curve of `CONFIG` with these losses on its own text, and twice them on `code`."""
    return [
        evaluation_row(
            step,
            32 * step,
            {
                "held_out": HeldOutLoss(loss, 0.1, None),
                "code": HeldOutLoss(2 * loss, None, None),
            },
        )
        for step, loss in zip(CONFIG.evaluation_steps, losses, strict=True)
    ]


def test_the_least_loss_is_on_the_windows_of_the_end():
    rows, end = curve(3.0, 2.0, 2.5, 2.25), HeldOutLoss(4.6, 0.1, 6.6)
    found = set_record("code", rows, end)
    assert found == {
        "loss_code": 4.6,
        "loss_code_stderr": 0.1,
        "bits_per_byte_code": 6.6,
        # The curve rises by half a nat from its least point to its end.
        "loss_code_least": pytest.approx(4.1),
        "loss_code_least_tokens": rows[1]["tokens"],
    }
    own = set_record("held_out", curve(4.0, 3.0, 2.5, 2.25), HeldOutLoss(2.3, 0.1, 3.3))
    assert own == {"loss_least": 2.3, "loss_least_tokens": 32 * 12}


def test_a_diverged_run_has_the_least_loss_of_the_curve_that_it_has():
    found = set_record("code", curve(3.0, 2.0, 2.5, math.nan)[:2], None)
    assert (found["loss_code"], found["loss_code_least"]) == (None, 4.0)
    assert set_record("code", [], HeldOutLoss(math.nan, None, None))["loss_code"] is None


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (None, (12,)),
        (100, (4, 7, 10, 12)),
        (128, (4, 8, 12)),
        (1, tuple(range(1, 13))),
        (LogSpaced(points=3, start=0.25), (3, 6, 12)),
        (LogSpaced(points=50, start=0.5), (6, 7, 8, 9, 10, 11, 12)),
    ],
)
def test_points_are_whole_steps_and_the_end_is_one(every, steps):
    assert dataclasses.replace(CONFIG, eval_every=every).evaluation_steps == steps


def test_a_share_of_training_pays_for_the_points():
    # 12 steps of 32 tokens are worth the forward passes of 72 windows.
    for share, n_windows in ((1.0, 10), (0.5, 6), (0.1, 1), (0.01, 1)):
        config = dataclasses.replace(CONFIG, eval_every=LogSpaced(4, 0.25, share))
        n_points = 2 * (len(config.evaluation_steps) - 1)
        assert config.n_curve_windows == min(n_windows, max(1, int(share * 72 / n_points)))
    with pytest.raises(InputError, match=r"beside the share 0\.2"):
        dataclasses.replace(CONFIG, eval_every=LogSpaced(share=0.2), curve_tokens=16)
    with pytest.raises(InputError, match=r"share 2\.0 must"):
        LogSpaced(share=2)


def test_a_gap_is_found():
    rows = curve(4.0, 3.0, 2.5, 2.25)
    assert evaluated_without_gap(rows, (4, 7, 10)) == math.inf
    assert evaluated_without_gap([rows[0], rows[2]], (4, 7, 10)) == 6
    assert evaluated_without_gap([], ()) == math.inf


def test_a_curve_that_is_not_what_the_run_wrote_is_found():
    rows = curve(4.0, 3.0, 2.5, 2.25)
    digest = evaluations_digest(rows)
    assert evaluations_fault(rows, digest, CONFIG) is None
    assert "3 of 4 evaluations" in evaluations_fault(rows[:3], digest, CONFIG)
    assert "was changed" in evaluations_fault(curve(4.0, 3.0, 2.5, 2.2), digest, CONFIG)
