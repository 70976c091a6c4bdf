"""Checkpoints appear whole and none is left out."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec

from scaling_jax.errors import InputError
from scaling_jax.train import make_mesh
from scaling_jax.train.checkpoint import KEEP, Checkpoints, open_checkpoints
from scaling_jax.train.digest import digest

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


def damage(directory, step):
    """Cut the largest file of a checkpoint short."""
    files = [path for path in Path(directory / str(step)).rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])


@pytest.fixture
def two_saved(directory):
    """Checkpoints of steps 5 and 9 on disk, and the layout of their state."""
    with open_checkpoints(directory) as checkpoints:
        for step in (5, 9):
            checkpoints.save(step, state(step))
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return {"values": jax.ShapeDtypeStruct((N,), jnp.float32, sharding=sharding)}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_checkpoint_gives_way_to_the_one_before(directory, two_saved, capfd):
    damage(directory, 9)
    with open_checkpoints(directory) as checkpoints:
        step, restored = checkpoints.restore(two_saved)
        assert step == 5
        np.testing.assert_array_equal(np.asarray(restored["values"]), np.full(N, 5, np.float32))
        message = capfd.readouterr().err
        assert "step 9" in message
        assert "continuing from step 5, 4 steps earlier" in message
        checkpoints.save(9, state(9))
    with open_checkpoints(directory) as checkpoints:
        assert checkpoints.restore(two_saved)[0] == 9


def test_checkpoints_that_are_all_damaged_are_kept_and_refused(directory, two_saved):
    damage(directory, 5)
    damage(directory, 9)
    with (
        open_checkpoints(directory) as checkpoints,
        pytest.raises(InputError, match=r"no checkpoint in .* is usable; that of step 9: "),
    ):
        checkpoints.restore(two_saved)
    assert {path.name for path in directory.iterdir()} >= {"5", "9"}


def test_a_checkpoint_of_another_shape_is_refused(directory, two_saved):
    sharding = two_saved["values"].sharding
    other = {"values": jax.ShapeDtypeStruct((N // 2,), jnp.float32, sharding=sharding)}
    with (
        open_checkpoints(directory) as checkpoints,
        pytest.raises(InputError, match=r"no checkpoint .* is usable"),
    ):
        checkpoints.restore(other)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_checkpoint_beyond_the_metrics_gives_way_to_the_one_before(directory, two_saved, capfd):
    with open_checkpoints(directory) as checkpoints:
        assert checkpoints.restore(two_saved, at_most=8)[0] == 5
    assert "step 9" in capfd.readouterr().err
    with (
        open_checkpoints(directory) as checkpoints,
        pytest.raises(InputError, match="the metrics of steps before it are lost"),
    ):
        checkpoints.restore(two_saved, at_most=4)


def test_running_out_of_memory_says_nothing_of_a_checkpoint(directory, two_saved, monkeypatch):
    def full(*args):
        raise MemoryError("none left")

    monkeypatch.setattr(Checkpoints, "load", full)
    with open_checkpoints(directory) as checkpoints, pytest.raises(MemoryError):
        checkpoints.restore(two_saved)


def test_without_a_checkpoint_nothing_is_restored(directory):
    with open_checkpoints(directory) as checkpoints:
        assert checkpoints.restore({}) is None


def test_content_that_was_altered_is_noticed_and_the_checkpoint_before_taken(directory, capfd):
    # Random numbers, which are not compressed: nothing else would find a changed bit.
    first = {"values": jax.random.normal(jax.random.key(0), N)}
    with open_checkpoints(directory) as checkpoints:
        checkpoints.save(1, first)
        checkpoints.save(2, {"values": first["values"] + 1})
    files = [path for path in Path(directory / "2").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with open_checkpoints(directory) as checkpoints:
        step, restored = checkpoints.restore(first)
    assert step == 1
    np.testing.assert_array_equal(restored["values"], first["values"])
    assert "its content is not what was written" in capfd.readouterr().err


def test_a_digest_depends_on_every_number_and_its_place_but_not_on_the_layout():
    first = {"a": jnp.arange(12.0).reshape(3, 4), "step": jnp.int32(5), "half": jnp.bfloat16(2)}
    others = [
        first | {"a": first["a"].at[1, 2].add(1e-6)},
        first | {"a": first["a"].T.reshape(3, 4)},
        first | {"step": jnp.int32(6)},
        first | {"half": jnp.bfloat16(3)},
    ]
    digests = [digest(tree) for tree in (first, *others)]
    assert len(set(digests)) == 5
    mesh = make_mesh(devices=jax.devices()[:4])
    split = NamedSharding(mesh, PartitionSpec(None, "data"))
    assert digest(first | {"a": jax.device_put(first["a"], split)}) == digests[0]


@pytest.mark.parametrize("damage", [b"{", b"\xff" * 16, b""])
def test_a_digest_that_cannot_be_read_stops_no_run(directory, damage):
    with open_checkpoints(directory) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state(step))
    (directory / "2" / "_CHECKPOINT_METADATA").write_bytes(damage)
    with open_checkpoints(directory) as checkpoints:
        step, restored = checkpoints.restore(state(0))
    np.testing.assert_array_equal(restored["values"], state(step)["values"])
