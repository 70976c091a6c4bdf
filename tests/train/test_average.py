"""A run that averages its weights has the mean over its last steps, however it is trained."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_run

from scaling_jax.runs.curve_files import read_evaluations
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, make_mesh, train_replicas, train_run
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import init_state, make_step, weights_of
from scaling_jax.trained import load_run

TOKENS = np.random.default_rng(0).integers(0, 256, (4, 33), np.int32)
ONE_LAYER = {"n_layers": 1}


def test_the_weights_are_the_mean_of_those_after_the_last_steps(text):
    config = small_run(text, steps=7, shape=ONE_LAYER, optimizer={"average_share": 0.4})
    spec = ModelSpec(
        config.shape, config.optimizer, "float32", execution=Execution(scan_layers=False)
    )
    state = jax.jit(lambda key: init_state(spec, key))(jax.random.key(0))
    step = jax.jit(make_step(spec))
    after = []
    for i in range(7):
        state, _ = step(state, TOKENS, Horizon.of(config))
        after.append(jax.tree.map(np.asarray, state["params"]))
        # Until the averaging begins, held-out losses are those of the current weights.
        if i < 4:
            jax.tree.map(np.testing.assert_array_equal, weights_of(state), state["params"])
    means = jax.tree.map(lambda *each: np.mean(each, axis=0), *after[-3:])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), weights_of(state), means)
    moved = jnp.abs(weights_of(state)["embedding"] - state["params"]["embedding"]).max()
    assert float(moved) > 1e-4


def test_a_stopped_and_a_packed_run_have_the_average_of_the_run_alone(text, cache, tmp_path):
    knobs = {"optimizer": {"average_share": 0.5}, "shape": ONE_LAYER, "eval_every": 512}
    configs = [small_run(text, steps=12, **knobs), small_run(text, steps=8, seed=1, **knobs)]
    options = dict(cache_dir=cache, progress=False, execution=Execution(steps_per_dispatch=2))
    one = dict(mesh=make_mesh(devices=jax.devices()[:1]))
    alone = train_run(configs[0], tmp_path / "alone", **options, **one)

    def stop(step, loss, speed):
        if step == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        train_run(configs[0], tmp_path / "stopped", report=stop, **options, **one)
    assert train_run(configs[0], tmp_path / "stopped", **options, **one).loss == alone.loss
    assert read_evaluations(tmp_path / "stopped") == read_evaluations(tmp_path / "alone")

    two = [tmp_path / "0", tmp_path / "1"]
    mesh = make_mesh(MeshSpec(replica=2, fsdp=2), jax.devices()[:4])
    packed = train_replicas(configs, two, mesh=mesh, **options)
    assert packed[0].loss == pytest.approx(alone.loss, rel=5e-5)

    model = load_run(tmp_path / "alone")
    assert model.loss() == pytest.approx(alone.loss, rel=1e-6)
    assert model.weights == "the mean over the last 6 steps"
