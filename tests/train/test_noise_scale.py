"""The gradient noise scale along a run: from its gradients, and in spite of what happens to it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from helpers import small_run

from scaling_jax.accounting import flops
from scaling_jax.config import LogSpaced, NoiseScale
from scaling_jax.errors import InputError
from scaling_jax.runs.curve_files import read_noise
from scaling_jax.runs.noise_scale import gradient_noise, noise_digest
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, make_mesh, train_run
from scaling_jax.train.inputs import load_inputs
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.noise_scale import make_moments, noise_measurement
from scaling_jax.train.step import init_state, make_gradient

NOISE = NoiseScale(every=5 * 256, sequences=16, small=2)


def options(cache):
    mesh = make_mesh(devices=jax.devices()[:1])
    execution = Execution(steps_per_dispatch=4)
    return dict(cache_dir=cache, mesh=mesh, execution=execution, progress=False)


def measured(text, **changes):
    known = dict(steps=12, shape={"n_layers": 1}, noise_scale=NOISE)
    return small_run(text, **(known | changes))


def rows_of(directory):
    return read_noise(epath.Path(directory))


@pytest.fixture(scope="module")
def undisturbed(text, cache, tmp_path_factory):
    """The result and the measurements of a run that nothing stopped."""
    directory = tmp_path_factory.mktemp("noise") / "run"
    return train_run(measured(text), directory, **options(cache)), rows_of(directory)


def close_to(rows, expected):
    assert [row.keys() for row in rows] == [row.keys() for row in expected]
    for row, other in zip(rows, expected, strict=True):
        np.testing.assert_allclose(list(row.values()), list(other.values()), rtol=2e-3)


def test_a_linear_model_has_the_noise_of_its_features():
    """Loss w x for tokens x of a known distribution: the gradient is x, whatever w."""

    def gradient(params, tokens_BxT1):
        return jax.value_and_grad(
            lambda w: (w["w"] * tokens_BxT1[:, 0].astype(jnp.float32)).mean()
        )(params)

    values, rng = np.array([1, 2, 5, 8]), np.random.default_rng(0)
    tokens_KxBxT1 = rng.choice(values, size=(20_000, 2, 1))
    moments = jax.jit(make_moments(gradient))
    found = gradient_noise(*map(np.asarray, moments({"w": jnp.float32(3)}, tokens_KxBxT1)), 2)
    assert found.grad_sq == pytest.approx(values.mean() ** 2, rel=0.02)
    assert found.noise == pytest.approx(values.var(), rel=0.02)


def test_the_moments_are_those_of_the_gradients_of_the_text_that_comes_next(text, cache):
    config, inputs = measured(text), load_inputs(measured(text), cache, False)
    mesh = options(cache)["mesh"]
    spec = ModelSpec(config.shape, config.optimizer, config.precision)
    params = init_state(spec, jax.random.key(0))["params"]
    found = noise_measurement(config, mesh)(params, inputs.batches, step=3)
    # Steps 3 and 4 read the 16 sequences.
    tokens_NxT1 = np.concatenate([inputs.batches.batch(3), inputs.batches.batch(4)])[:16]
    gradient = jax.jit(make_gradient(spec))
    grads_KxP = np.stack(
        [
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient(params, pair)[1])])
            for pair in tokens_NxT1.reshape(8, 2, -1)
        ]
    ).astype(np.float64)
    small_sq, big_sq = (grads_KxP**2).sum(1).mean(), (grads_KxP.mean(0) ** 2).sum()
    assert found.grad_sq == pytest.approx((16 * big_sq - 2 * small_sq) / 14, rel=1e-3)
    assert found.noise == pytest.approx((small_sq - big_sq) / (1 / 2 - 1 / 16), rel=1e-3)


def test_the_run_keeps_its_measurements_and_is_the_same_run(undisturbed, text, cache, tmp_path):
    result, rows = undisturbed
    assert [row["step"] for row in rows] == [5, 10, 12]
    assert result.noise_curve == noise_digest(rows)
    plain = train_run(measured(text, noise_scale=None), tmp_path / "run", **options(cache))
    assert (plain.loss, plain.curve) == (result.loss, result.curve)
    assert not (tmp_path / "run" / "noise_scale.jsonl").exists()
    assert plain.noise_scale == {}
    # Steps 10 and 12 are in the last half of the run.
    late = rows[1:]
    ratio = sum(row["noise"] for row in late) / sum(row["grad_sq"] for row in late)
    assert result.noise_scale["noise_scale_tokens"] == pytest.approx(32 * ratio)
    each = flops.training_flops(measured(text).shape, 2 * 16 * 32)
    assert result.noise_scale["noise_scale_flops"] == 3 * each


def test_a_run_that_was_stopped_has_the_same_measurements(undisturbed, text, cache, tmp_path):
    for at in (8, 12):
        stop = dict(checkpoint_seconds=0.0, report=_stopping_at(at))
        with pytest.raises(Preempted):
            train_run(measured(text), tmp_path / "run", **options(cache), **stop)
    path = tmp_path / "run" / "noise_scale.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    result = train_run(measured(text), tmp_path / "run", **options(cache))
    assert rows_of(tmp_path / "run") == undisturbed[1]
    assert result.noise_scale == undisturbed[0].noise_scale


def _stopping_at(at):
    def stop(step, loss, speed):
        if step >= at:
            raise Preempted("enough")

    return stop


def test_several_devices_measure_the_same(undisturbed, text, cache, tmp_path):
    several = options(cache) | {"mesh": make_mesh(MeshSpec(data=2), jax.devices()[:2])}
    train_run(measured(text), tmp_path / "run", **several)
    close_to(rows_of(tmp_path / "run"), undisturbed[1])


def test_a_configuration_without_it_has_the_id_that_it_had(text):
    assert "noise_scale" not in json.loads(measured(text, noise_scale=None).to_json())
    config = measured(text)
    assert type(config).from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequences": 7, "small": 2}, "multiple of small 2"),
        ({"sequences": 2}, "at least 8 times"),
        ({"sequences": 0}, "noise_scale sequences 0"),
        ({"every": 10**9}, "more than the run's"),
        ({"sequences": 10**7}, "windows of the training text"),
    ],
)
def test_what_cannot_be_measured_is_refused(text, cache, tmp_path, changes, message):
    def train():
        config = measured(text, noise_scale=NoiseScale(**({"every": LogSpaced(3)} | changes)))
        train_run(config, tmp_path / "run", **options(cache))

    with pytest.raises(InputError, match=message):
        train()
    assert not (tmp_path / "run").exists()


def test_a_small_batch_that_the_devices_cannot_share_is_refused(text, cache, tmp_path):
    several = options(cache) | {"mesh": make_mesh(MeshSpec(data=4), jax.devices()[:4])}
    with pytest.raises(InputError, match="small 2 does not divide over 4 devices"):
        train_run(measured(text), tmp_path / "run", **several)
    assert not (tmp_path / "run").exists()
