"""Every attention kernel gives what the plain one does, and so do its gradients."""

import functools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.model.kernels import (
    blocked_attention,
    causal_attention,
    cudnn_attention,
    on_shards,
    splash_attention,
    tokamax_attention,
)
from scaling_jax.train import MeshSpec, make_mesh
from scaling_jax.train.mesh import layout_rules


def heads(n_heads=4, n_kv_heads=2, batch=2, seq_len=128, head_size=32):
    rng = np.random.default_rng(0)
    dims = [(batch, seq_len, n, head_size) for n in (n_heads, n_kv_heads, n_kv_heads)]
    return [jnp.asarray(rng.normal(size=size), jnp.float32) for size in dims]


def value_and_gradients(kernel, qkv):
    """The output and, for one weighting of it, the gradients in queries, keys and values."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=qkv[0].shape), jnp.float32)

    def weighed(*qkv):
        y = kernel(*qkv)
        return (y * weights).sum(), y

    gradients = jax.value_and_grad(weighed, (0, 1, 2), has_aux=True)
    # A program that runs once costs more to compile than to run.
    (_, y), grads = jax.jit(gradients, compiler_options={"xla_backend_optimization_level": 0})(*qkv)
    return y, *grads


def assert_same(kernel, qkv):
    ours, plain = value_and_gradients(kernel, qkv), value_and_gradients(causal_attention, qkv)
    for a, b in zip(ours, plain, strict=True):
        # Sums over up to T terms of order one, in another order.
        np.testing.assert_allclose(a, b, atol=2e-5)


def by_hand(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK):
    t, h, k = q_BxTxHxK.shape[1:]
    repeat = h // k_BxTxGxK.shape[2]
    k_BxTxHxK, v_BxTxHxK = (jnp.repeat(x, repeat, axis=2) for x in (k_BxTxGxK, v_BxTxGxK))
    scores = jnp.einsum("bqhk,bthk->bhqt", q_BxTxHxK, k_BxTxHxK) / np.float32(k**0.5)
    visible_1x1xTxT = np.tri(t, dtype=bool)[None, None]
    weights = jax.nn.softmax(jnp.where(visible_1x1xTxT, scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhqt,bthk->bqhk", weights, v_BxTxHxK)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_the_plain_kernel_is_softmax_attention(n_kv_heads):
    qkv = heads(n_kv_heads=n_kv_heads, seq_len=12)
    ours, reference = (value_and_gradients(kernel, qkv) for kernel in (causal_attention, by_hand))
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize(("seq_len", "n_heads"), [(12, 1), (7, 4), (512, 2)])
def test_attention_in_blocks(seq_len, n_heads):
    assert_same(blocked_attention, heads(n_heads, 1, 1, seq_len, 8))


def test_blocks_leave_out_scores_that_the_mask_hides():
    def product_flops(kernel):
        return jax.jit(kernel).lower(*heads(seq_len=512)).compile().cost_analysis()["flops"]

    # Four blocks have 10 of 16 parts of the scores; what else is counted is no more.
    assert product_flops(blocked_attention) < 0.65 * product_flops(causal_attention)


def test_plain_attention_stores_no_mask_in_a_program():
    qkv = heads(seq_len=64)
    consts = jax.make_jaxpr(causal_attention)(*qkv).consts
    assert sum(np.size(const) for const in consts) < 64


def test_splash_attention_in_its_interpreter():
    assert_same(functools.partial(splash_attention, interpret=True), heads(batch=1, seq_len=256))


def test_cudnn_computes_what_the_plain_kernel_computes(monkeypatch):
    attend, requested = jax.nn.dot_product_attention, []

    def stand_in(*qkv, implementation, **options):
        requested.append(implementation)
        return attend(*qkv, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    assert_same(cudnn_attention, heads())
    assert set(requested) == {"cudnn"}


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(("n_kv_heads", "head_size"), [(4, 64), (2, 64), (1, 128)])
def test_cudnn_on_a_gpu(n_kv_heads, head_size):
    qkv = heads(n_kv_heads=n_kv_heads, seq_len=256, head_size=head_size)
    short = [x.astype(jnp.bfloat16) for x in qkv]
    ours = value_and_gradients(lambda *x: cudnn_attention(*x).astype(jnp.float32), short)
    with jax.default_matmul_precision("float32"):
        plain = value_and_gradients(causal_attention, [x.astype(jnp.float32) for x in short])
    for a, b in zip(ours, plain, strict=True):
        error = np.linalg.norm(a.astype(np.float32) - b) / np.linalg.norm(b)
        assert error < 1e-2  # A bfloat16 has eight bits.


def test_tokamax_computes_what_the_plain_kernel_computes(monkeypatch):
    stand_in = types.SimpleNamespace(dot_product_attention=jax.nn.dot_product_attention)
    monkeypatch.setitem(sys.modules, "tokamax", stand_in)
    assert_same(tokamax_attention, heads())


def test_a_kernel_that_xla_cannot_split_sees_its_own_share():
    shapes = []

    def kernel(*qkv):
        shapes.append(tuple(x.shape for x in qkv))
        return causal_attention(*qkv)

    qkv = heads(batch=4, seq_len=8, head_size=4)
    mesh = make_mesh(MeshSpec(data=2, fsdp=2, tensor=2))
    with layout_rules(mesh):
        split = value_and_gradients(on_shards(kernel), qkv)
    assert shapes[0] == ((1, 8, 2, 4), (1, 8, 1, 4), (1, 8, 1, 4))
    for a, b in zip(split, value_and_gradients(causal_attention, qkv), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
