"""Checkpoints appear whole and none is left out."""

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from scaling_jax.train.checkpoint import KEEP, open_checkpoints

# Large enough that one is still being written when the next is due.
N = 4_000_000


def state(step):
    return {"values": jnp.full(N, step, jnp.float32)}


@pytest.fixture
def directory(tmp_path):
    return epath.Path(tmp_path / "checkpoints")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_checkpoint_due_while_another_is_written_is_not_left_out(directory):
    with open_checkpoints(directory) as checkpoints:
        for step in range(1, 5):
            checkpoints.save(step, state(step))
    with open_checkpoints(directory) as checkpoints:
        assert checkpoints.latest_step() == 4
        for step in range(5 - KEEP, 5):
            values = checkpoints.load(step, None)["values"]
            np.testing.assert_array_equal(np.asarray(values), np.full(N, step, np.float32))


def test_a_step_already_saved_is_not_written_again(directory):
    with open_checkpoints(directory) as checkpoints:
        checkpoints.save(1, state(1))
        checkpoints.save(1, state(1))
    written = (directory / "1").stat().mtime
    with open_checkpoints(directory) as checkpoints:
        assert checkpoints.latest_step() == 1
        checkpoints.save(1, state(1))
    assert (directory / "1").stat().mtime == written


def test_a_checkpoint_left_half_written_is_ignored_and_removed(directory):
    half = directory / "2.orbax-checkpoint-tmp"
    with open_checkpoints(directory) as checkpoints:
        checkpoints.save(1, state(1))
        checkpoints.wait()
        half.mkdir()
    with open_checkpoints(directory) as checkpoints:
        assert checkpoints.latest_step() == 1
        checkpoints.save(2, state(2))
        checkpoints.wait()
        assert checkpoints.latest_step() == 2
    assert not half.exists()
