"""Every way of computing a run gives the same run."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_run

from scaling_jax.config import DataConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT
from scaling_jax.train import Execution, MeshSpec, make_mesh
from scaling_jax.train.evaluation import make_evaluation
from scaling_jax.train.mesh import layout_rules
from scaling_jax.train.model_loss import ModelSpec, make_loss
from scaling_jax.train.step import init_state, make_gradient

CONFIG = replace(small_run("unread", batch_size=8), data=DataConfig())


# A program that runs once costs more to compile than to run.
def run_once(function):
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def spec_of(execution=DEFAULT, precision="float32"):
    config = replace(CONFIG, precision=precision)
    execution = execution.resolved(config, "cpu")
    return ModelSpec(config.shape, config.optimizer, precision, execution=execution)


def tokens(*dims):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.integers(0, 256, (*dims, CONFIG.shape.seq_len + 1), np.int32))


@pytest.fixture(scope="module")
def params():
    return run_once(lambda key: init_state(spec_of(), key))(jax.random.key(0))["params"]


@pytest.fixture(scope="module")
def plain(params):
    return run_once(make_gradient(spec_of()))(params, tokens(8))


@pytest.mark.parametrize(
    "execution",
    [
        Execution(remat="full"),
        Execution(remat="dots", scan_layers=True),
        Execution(loss_chunks=8),
        Execution(attention="xla"),
        Execution(accumulate=4, loss_chunks=2),
    ],
    ids=str,
)
def test_loss_and_gradient_do_not_depend_on_the_execution(params, plain, execution):
    loss, grads = run_once(make_gradient(spec_of(execution)))(params, tokens(8))
    assert float(loss) == pytest.approx(float(plain[0]), rel=1e-6)
    # Sums over 256 positions in another order: relative to the largest entry of each gradient,
    # a few float32 roundings (6e-8), whose random sum grows with the root of their number.
    for ours, theirs in zip(jax.tree.leaves(grads), jax.tree.leaves(plain[1]), strict=True):
        assert np.abs(ours - theirs).max() < 3e-6 * np.abs(theirs).max()


def test_each_rematerialization_policy_keeps_less_than_the_one_before(params):
    def kept(remat, scan_layers):
        spec = spec_of(Execution(remat=remat, scan_layers=scan_layers))
        _, backward = jax.eval_shape(lambda p: jax.vjp(make_loss(spec), p, tokens(8)), params)
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    for scan_layers in (False, True):
        everything, dots, nothing = (kept(p, scan_layers) for p in ("none", "dots", "full"))
        assert everything > dots > nothing


def test_held_out_losses_do_not_depend_on_the_execution(params):
    held_out = tokens(2, 8)
    losses = [
        run_once(make_evaluation(spec_of(execution)))(params, held_out)
        for execution in (DEFAULT, Execution(accumulate=4, loss_chunks=4))
    ]
    assert losses[0].shape == (2, 8)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_evaluation_without_the_kernel_takes_fewer_sequences_at_a_time(params, monkeypatch):
    shape, held_out = CONFIG.shape, tokens(1, 8)
    of_one = shape.n_heads * shape.seq_len**2
    monkeypatch.setattr("scaling_jax.train.evaluation._SCORES_BYTES", 4 * of_one * 3)
    spec = spec_of(Execution(attention="xla"), "bfloat16")
    kernel = replace(spec, execution=replace(spec.execution, attention="cudnn"))

    def largest_scores(spec):
        program = str(jax.make_jaxpr(make_evaluation(spec))(params, held_out))
        t, h = shape.seq_len, shape.n_heads
        return max(n for n in range(1, 9) if f"f32[{n * h},{t},{t}]" in program)

    # Three fit; two divide the batch.
    assert [largest_scores(spec), largest_scores(kernel)] == [8, 2]
    ours, plain = (run_once(make_evaluation(s))(params, held_out) for s in (kernel, spec))
    np.testing.assert_allclose(ours, plain, rtol=1e-6)


def test_evaluation_in_pieces_shares_each_out_over_the_devices(params, plain, monkeypatch):
    shape, held_out = CONFIG.shape, tokens(1, 8)
    monkeypatch.setattr("scaling_jax.train.evaluation._SCORES_BYTES", 4 * shape.n_heads * 32**2)
    execution = Execution(attention="cudnn", loss_chunks=1, scan_layers=True)
    spec = replace(spec_of(precision="bfloat16"), execution=execution)
    mesh = make_mesh(MeshSpec(data=2, fsdp=2, tensor=2), jax.devices()[:8])
    with layout_rules(mesh):
        shared = run_once(make_evaluation(spec)).lower(params, held_out).compile()
    losses = shared(*jax.device_put((params, held_out), shared.input_shardings[0]))
    np.testing.assert_allclose(losses, run_once(make_evaluation(spec))(params, held_out), rtol=1e-5)


def test_bfloat16_computes_products_alone_and_evaluates_in_float32(params, plain):
    loss, grads = run_once(make_gradient(spec_of(precision="bfloat16")))(params, tokens(8))
    assert {x.dtype for x in jax.tree.leaves((loss, grads))} == {jnp.dtype("float32")}
    assert 0 < abs(float(loss) - float(plain[0])) < 1e-2
    evaluate = make_evaluation(spec_of(precision="bfloat16"))
    exact = run_once(make_evaluation(spec_of()))(params, tokens(1, 8))
    np.testing.assert_array_equal(run_once(evaluate)(params, tokens(1, 8)), exact)


def test_kernels_are_chosen_by_platform_and_shape():
    wide = replace(CONFIG, shape=replace(CONFIG.shape, seq_len=256, head_dim=64))
    half = replace(wide, precision="bfloat16")
    chosen = {
        (platform, config.precision): DEFAULT.resolved(config, platform).attention
        for platform in ("cpu", "gpu", "tpu")
        for config in (wide, half)
    }
    assert chosen == {
        ("cpu", "float32"): "blocks",
        ("cpu", "bfloat16"): "blocks",
        ("gpu", "float32"): "xla",
        ("gpu", "bfloat16"): "cudnn",
        ("tpu", "float32"): "splash",
        ("tpu", "bfloat16"): "splash",
    }
    assert DEFAULT.resolved(CONFIG, "tpu").attention == "xla"  # of 32 positions


@pytest.mark.parametrize(
    ("execution", "platform", "message"),
    [
        (Execution(attention="cudnn"), "cpu", "runs on NVIDIA GPUs, not on 'cpu': use 'blocks'"),
        (Execution(attention="cudnn"), "gpu", "computes in bfloat16, not in float32"),
        (Execution(attention="blocks"), "gpu", "is for CPUs, not for 'gpu': use 'xla'"),
        (Execution(attention="splash"), "tpu", "multiple of 128, not 32"),
        (Execution(attention="tokamax"), "gpu", "not installed"),
        (Execution(accumulate=3), "cpu", r"batch_size 8: choose one of \[1, 2, 4, 8\]"),
        (Execution(loss_chunks=5), "cpu", r"seq_len 32: choose one of \[1, 2, 4"),
    ],
)
def test_what_cannot_run_is_refused_with_what_can(execution, platform, message):
    with pytest.raises(InputError, match=message):
        execution.resolved(CONFIG, platform)


def test_layers_are_unrolled_where_that_is_faster():
    def scanned(platform, n_layers, **where):
        config = replace(CONFIG, shape=replace(CONFIG.shape, n_layers=n_layers))
        return DEFAULT.resolved(config, platform, **where).scan_layers

    assert [scanned("cpu", n) for n in (16, 17)] == [False, True]
    assert [scanned("gpu", n) for n in (32, 33)] == [False, True]
    assert scanned("tpu", 2)
    # Copies on several devices gather nothing; parts of the parameters do, all at once.
    assert not scanned("gpu", 2, n_devices=8)
    assert scanned("gpu", 2, n_devices=8, is_split=True)


def test_a_name_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'cudnn'"):
        Execution(attention="cuddn")
    with pytest.raises(InputError, match="did you mean 'dots'"):
        Execution(remat="dot")
    with pytest.raises(InputError, match="accumulate 0 must be at least 1"):
        Execution(accumulate=0)


def test_logits_are_cut_small_where_the_vocabulary_is_large():
    def chunks(platform, n_devices=1, **shape):
        config = replace(CONFIG, batch_size=64, shape=replace(CONFIG.shape, **shape))
        return DEFAULT.resolved(config, platform, n_devices).loss_chunks

    assert chunks("cpu") == 1
    large = dict(seq_len=2048, vocab_size=32_000)
    # 64 x 2048 x 32,000 float32 logits are 15.6 GiB, in pieces of at most 256 MiB.
    assert chunks("tpu", **large) == 64
    assert chunks("tpu", n_devices=16, **large) == 4
