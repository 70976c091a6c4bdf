"""The chunked loss equals the plain one, in value and gradient, and never has all the logits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax.extend.core import jaxprs_in_params

from scaling_jax.model import chunked_losses, mean_loss, token_losses
from scaling_jax.model.loss import logsumexp_in_one_pass

B, T, D, V = 3, 12, 8, 40

# A program that runs once costs more to compile than to run.
run_once = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def inputs(dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    x_BxTxD = jnp.asarray(rng.normal(size=(B, T, D)), dtype)
    output_DxV = jnp.asarray(rng.normal(size=(D, V)), jnp.float32)
    return x_BxTxD, output_DxV, jnp.asarray(rng.integers(0, V, (B, T)))


def plain(x_BxTxD, output_DxV, targets_BxT):
    return token_losses(x_BxTxD @ output_DxV.astype(x_BxTxD.dtype), targets_BxT)


def value_and_grads(loss):
    return run_once(jax.value_and_grad(loss, (0, 1)))


@pytest.mark.parametrize("n_chunks", [1, 3, 12])
def test_equals_the_plain_loss_in_value_and_gradient(n_chunks):
    x, output, targets = inputs()
    losses = run_once(lambda x, w: chunked_losses(x, w, targets, n_chunks))(x, output)
    np.testing.assert_allclose(losses, run_once(plain)(x, output, targets), rtol=1e-5)
    # A loss squared, so that the gradient that comes back is not one.
    ours = value_and_grads(lambda x, w: mean_loss(x, w, targets, n_chunks) ** 2)(x, output)
    plain_ones = value_and_grads(lambda x, w: plain(x, w, targets).mean() ** 2)(x, output)
    for mine, theirs in zip(jax.tree.leaves(ours), jax.tree.leaves(plain_ones), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_bfloat16_features_give_a_float32_loss_and_output_gradient():
    x, output, targets = inputs(jnp.bfloat16)
    loss, grads = value_and_grads(lambda x, w: mean_loss(x, w, targets, 3))(x, output)
    exact = value_and_grads(lambda x, w: plain(x, w, targets).mean())
    exact_loss, exact_grads = exact(x.astype(jnp.float32), output)
    assert [loss.dtype, *(grad.dtype for grad in grads)] == ["float32", "bfloat16", "float32"]
    # Eight bits of mantissa: products are off by up to 2^-8 of their terms.
    assert float(loss) == pytest.approx(float(exact_loss), rel=2**-8)
    for ours, theirs in zip(grads, exact_grads, strict=True):
        error = np.abs(np.asarray(ours, np.float32) - theirs).max()
        assert error < 2**-6 * np.abs(theirs).max()


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_one_pass_over_the_logits_gives_their_normalizer(scale):
    logits_NxV = scale * np.random.default_rng(0).normal(size=(5, 1000)).astype(np.float32)
    exact = scipy.special.logsumexp(logits_NxV.astype(np.float64), axis=-1)
    np.testing.assert_allclose(run_once(logsumexp_in_one_pass)(logits_NxV), exact, rtol=1e-6)


def test_a_logit_far_above_the_others_gives_no_overflow():
    x, output, targets = inputs()
    loss, grads = value_and_grads(lambda x, w: mean_loss(x, w, targets, 2))(x * 1e4, output)
    assert np.isfinite(loss)
    assert all(np.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize("gradient", [True, False])
def test_no_array_holds_the_logits_of_the_whole_batch(gradient):
    x, output, targets = inputs()

    def arrays(n_chunks):
        loss = jax.grad(mean_loss) if gradient else chunked_losses
        jaxpr = jax.make_jaxpr(lambda x, w: loss(x, w, targets, n_chunks))(x, output)
        return {size for size in _sizes(jaxpr.jaxpr) if size % V == 0 and size > D * V}

    assert max(arrays(1)) == B * T * V
    assert max(arrays(4)) == B * T * V // 4


def _sizes(jaxpr):
    """Elements of every array that a program computes, inside its loops too."""
    for equation in jaxpr.eqns:
        yield from (v.aval.size for v in equation.outvars if hasattr(v.aval, "size"))
        for inner in jaxprs_in_params(equation.params):
            yield from _sizes(inner)
