"""A batch ramp takes smaller batches at first, and changes nothing that is counted in tokens."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from helpers import small_run

from scaling_jax.config import BatchRamp
from scaling_jax.errors import InputError
from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, make_mesh, train_replicas, train_run
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import init_state, make_step

RAMP = BatchRamp(factor=4, until=0.25)
TOKENS = np.random.default_rng(0).integers(0, 256, (8, 33), np.int32)


def ramped(text, **changes):
    return small_run(
        text, **({"steps": 12, "shape": {"n_layers": 1}, "batch_ramp": RAMP} | changes)
    )


def test_a_step_of_the_ramp_is_updates_on_parts_of_its_batch(text):
    config = ramped(text, optimizer={"warmup_steps": 2})
    horizon, execution = Horizon.of(config), Execution(scan_layers=False)
    plain, ramp = (
        ModelSpec(config.shape, config.optimizer, "float32", execution=execution, batch_ramp=each)
        for each in (None, RAMP)
    )
    init = jax.jit(lambda key: init_state(plain, key))
    start = init(jax.random.key(0))
    step = jax.jit(make_step(ramp))
    small = jax.jit(make_step(plain))
    ours, metrics = step(start, TOKENS, horizon)
    # Four steps of a run whose steps are four times shorter, with four times as many of warm-up.
    theirs, shorter, each = start, horizon._replace(warmup_steps=jnp.float32(8)), []
    shorter = shorter._replace(descent_start=jnp.float32(1e6))
    for part in range(4):
        theirs, one = small(theirs, TOKENS[part::4], shorter)
        each.append(one)
    for mine, other in zip(
        jax.tree.leaves(ours["params"]), jax.tree.leaves(theirs["params"]), strict=True
    ):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    assert int(ours["step"]) == 1
    assert float(metrics.loss) == pytest.approx(np.mean([one.loss for one in each]), rel=1e-6)
    assert float(metrics.lr) == pytest.approx(config.optimizer.peak_lr / 2)
    # After the ramp a step is one update on the whole batch.
    later = start | {"step": jnp.int32(RAMP.steps(config.steps))}
    (after, _), (expected, _) = step(later, TOKENS, horizon), small(later, TOKENS, horizon)
    for mine, other in zip(jax.tree.leaves(after), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def rows(directory):
    return [
        tuple(row[name] for name in ("step", "tokens", "loss", "lr", "grad_norm"))
        for row in read_metrics(epath.Path(directory))
    ]


def test_a_stopped_run_and_a_packed_run_are_what_they_are_alone(text, cache, tmp_path):
    configs = [ramped(text), ramped(text, steps=8, seed=1)]
    options = dict(cache_dir=cache, progress=False, execution=Execution(steps_per_dispatch=2))
    one = dict(mesh=make_mesh(devices=jax.devices()[:1]))
    alone = train_run(configs[0], tmp_path / "alone", **options, **one)
    without = small_run(text, steps=12, shape={"n_layers": 1})
    assert alone.tokens == without.tokens
    assert [row[:2] for row in rows(tmp_path / "alone")][-1] == (12, without.tokens)

    def stop(step, loss, speed):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        train_run(configs[0], tmp_path / "stopped", report=stop, **options, **one)
    assert train_run(configs[0], tmp_path / "stopped", **options, **one).loss == alone.loss
    assert rows(tmp_path / "stopped") == rows(tmp_path / "alone")

    two = [tmp_path / "0", tmp_path / "1"]
    mesh = make_mesh(MeshSpec(replica=2), jax.devices()[:2])
    train_replicas(configs, two, mesh=mesh, **options)
    np.testing.assert_allclose(rows(two[0]), rows(tmp_path / "alone"), rtol=5e-5)


def test_the_smaller_batch_is_what_devices_and_microbatches_share(text, cache, tmp_path):
    with pytest.raises(InputError, match="batch_size 6 is not a multiple of the batch ramp's"):
        ramped(text, batch_size=6)
    with pytest.raises(InputError, match="accumulate 4 does not divide the batch ramp's smaller"):
        Execution(accumulate=4).resolved(ramped(text), "cpu")
    with pytest.raises(InputError, match="8"):
        train_run(
            ramped(text),
            tmp_path,
            cache_dir=cache,
            execution=Execution(mesh=MeshSpec(data=8)),
            progress=False,
        )
