"""Dropout masks follow from the seed, the step and the sequence alone."""

import os
import signal
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from flax import nnx
from helpers import small_run

from scaling_jax.config import Dropout, OptimizerConfig, Shape
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.errors import InputError
from scaling_jax.model.dropout import drop, sequence_keys
from scaling_jax.model.stacking import unstack_layers
from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, make_mesh, train_replicas, train_run
from scaling_jax.train import mesh as layout
from scaling_jax.train.evaluation import make_evaluation
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.step import init_state, make_gradient

# Two query heads share a key, so that a mask has several rows of heads.
SHAPE = Shape(n_layers=2, d_model=16, n_heads=4, n_kv_heads=2, d_ff=32, vocab_size=64, seq_len=16)
DROPOUT = Dropout(residual=0.3, attention=0.2, embedding=0.1)
TOKENS = np.random.default_rng(0).integers(0, 64, (8, 17), np.int32)


def spec_of(dropout=DROPOUT, **execution):
    return ModelSpec(
        SHAPE,
        OptimizerConfig(1e-2, 0),
        "float32",
        execution=Execution(**({"scan_layers": False} | execution)),
        dropout=dropout,
    )


def keys(seed=0, step=3):
    return sequence_keys(jnp.uint32(seed), jnp.int32(step), 8)


@pytest.fixture(scope="module")
def params():
    init = jax.jit(lambda key: init_state(spec_of(), key)["params"])
    return jax.tree.map(np.asarray, init(jax.random.key(0)))


def gradient(spec, params, mesh=None, **of_keys):
    mesh = mesh or make_mesh(devices=jax.devices()[:1])
    program = jax.jit(make_gradient(spec))
    placed = jax.device_put(params, layout.state_shardings(params, mesh))
    tokens = jax.device_put(TOKENS[None], layout.batch_sharding(mesh))[0]
    with layout.layout_rules(mesh):
        return program(placed, tokens, keys(**of_keys))


@pytest.fixture(scope="module")
def plain(params):
    return gradient(spec_of(), params)


def test_a_share_of_the_values_is_dropped_and_the_mean_stays():
    x_NxD = jnp.ones((8 * 64, 32))
    of_step = jax.jit(lambda step: drop(x_NxD, 0.3, keys(step=step)))
    dropped = np.asarray(of_step(3))
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.7)}
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / dropped.size) ** 0.5)
    assert (dropped != np.asarray(of_step(4))).any()


@pytest.mark.parametrize(
    ("execution", "mesh"),
    [
        (dict(scan_layers=True, remat="full"), MeshSpec()),
        (dict(scan_layers=True, accumulate=2), MeshSpec(data=2, fsdp=2, tensor=2)),
    ],
    ids=str,
)
def test_masks_do_not_depend_on_the_execution_or_the_mesh(params, plain, execution, mesh):
    devices = jax.devices()[: 8 if mesh.fsdp else 1]
    loss, grads = gradient(spec_of(**execution), params, make_mesh(mesh, devices))
    assert float(loss) == pytest.approx(float(plain[0]), rel=1e-6)
    for ours, theirs in zip(jax.tree.leaves(grads), jax.tree.leaves(plain[1]), strict=True):
        assert np.abs(np.asarray(ours) - theirs).max() < 3e-6 * np.abs(theirs).max()


def test_each_place_drops_by_its_own_share(params):
    def features(dropout):
        graph = nnx.split(nnx.eval_shape(lambda: spec_of(dropout).model(jax.random.key(0))))[0]
        model = nnx.merge(graph, unstack_layers(params))
        return model.features_and_balance(TOKENS[:, 1:], keys())[0]

    places = [Dropout(**{place: 0.1}) for place in ("residual", "attention", "embedding")]
    each = jax.jit(lambda: [features(dropout) for dropout in (NO_DROPOUT, *places)])()
    assert all(np.abs(a - b).max() > 1e-3 for a, b in combinations(each, 2))


def test_evaluation_drops_nothing(params):
    with_it, without = (
        str(jax.make_jaxpr(make_evaluation(spec_of(dropout)))(params, TOKENS[None]))
        for dropout in (DROPOUT, NO_DROPOUT)
    )
    assert with_it == without


def losses(directory):
    return [row["loss"] for row in read_metrics(epath.Path(directory))]


def test_a_stopped_run_and_packed_runs_have_the_masks_of_a_run_alone(text, cache, tmp_path):
    configs = [
        small_run(text, steps=12, shape={"n_layers": 1}, seed=seed, dropout=DROPOUT)
        for seed in (0, 1)
    ]
    one = make_mesh(devices=jax.devices()[:1])
    options = dict(cache_dir=cache, mesh=one, progress=False)
    options["execution"] = Execution(steps_per_dispatch=4)
    alone = train_run(configs[0], tmp_path / "alone", **options)

    def stop(step, loss, speed):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        train_run(configs[0], tmp_path / "stopped", report=stop, **options)
    stopped = train_run(configs[0], tmp_path / "stopped", **options)
    assert stopped.loss == alone.loss
    assert losses(tmp_path / "stopped") == losses(tmp_path / "alone")

    packed = train_replicas(configs, [tmp_path / "0", tmp_path / "1"], **options)
    np.testing.assert_allclose(losses(tmp_path / "0"), losses(tmp_path / "alone"), rtol=2e-5)
    assert packed[0].loss == pytest.approx(alone.loss, rel=2e-5)
    assert packed[1].loss != packed[0].loss


def test_kernels_that_drop_no_weights_are_not_chosen_and_refused_by_name(text):
    config = small_run(text, dropout=Dropout(attention=0.1), precision="bfloat16")
    for platform in ("cpu", "tpu", "gpu"):
        assert Execution().resolved(config, platform).attention == "xla"
    with pytest.raises(InputError, match=r"'cudnn' drops no attention weights.*use 'xla'"):
        Execution(attention="cudnn").resolved(config, "gpu")
    with pytest.raises(InputError, match=r"dropout residual 1\.0 must be"):
        Dropout(residual=1)
