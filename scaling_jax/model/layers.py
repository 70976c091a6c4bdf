"""RMS normalization and the feed-forward layer."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import init
from scaling_jax.model.products import dense
from scaling_jax.scales import Scales

NORM_EPS = 1e-6

# For functions that are cheap to recompute: the backward pass keeps only their arguments. In
# unrolled layers compilers do so by themselves, but a loop over layers would keep all intermediate
# values.
_cheap = partial(jax.checkpoint, prevent_cse=False)


@_cheap
def rms_norm(x: jax.Array, gain: jax.Array) -> jax.Array:
    """`gain * x / rms(x)` over the last axis, computed in float32, in the dtype of `x`."""
    x32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x32), axis=-1, keepdims=True)
    scaled = x32 * jax.lax.rsqrt(mean_square + NORM_EPS)
    return (scaled * jnp.broadcast_to(gain, x.shape)).astype(x.dtype)


@_cheap
def gelu(x: jax.Array) -> jax.Array:
    """GELU in its tanh approximation (Hendrycks & Gimpel 2016), in the dtype of `x`."""
    by_tanh = partial(jax.nn.gelu, approximate=True)
    return jax.lax.platform_dependent(x, cuda=gelu_by_logistic, default=by_tanh)


def gelu_by_logistic(x: jax.Array) -> jax.Array:
    """The tanh approximation of GELU by a logistic function, which is faster on a GPU."""
    # 1 + tanh(u) is twice the logistic function of 2u.
    x32 = x.astype(jnp.float32)
    u2 = np.float32(math.sqrt(8 / math.pi)) * (x32 + np.float32(0.044715) * x32 * x32 * x32)
    return (x32 * jax.nn.sigmoid(u2)).astype(x.dtype)


@_cheap
def swish_gate(x: jax.Array, value: jax.Array) -> jax.Array:
    """`silu(x) * value`."""
    return jax.nn.silu(x) * value


def feed_forward(x_NxD: jax.Array, up_DxIxF: jax.Array, down_FxD: jax.Array) -> jax.Array:
    """A feed-forward layer, or several if all three arguments have one more leading axis.

    The number of input matrices I selects the non-linearity: one is GELU, two are SwiGLU.
    """
    # One product for each input matrix, so that devices that shard F exchange no activations.
    n_inputs = up_DxIxF.shape[-2]
    inputs_Dx1xF = jnp.split(up_DxIxF, n_inputs, axis=-2) if n_inputs > 1 else [up_DxIxF]
    h_NxF, *value_NxF = (dense(x_NxD, up_Dx1xF) for up_Dx1xF in inputs_Dx1xF)
    h_NxF = swish_gate(h_NxF, value_NxF[0]) if value_NxF else gelu(h_NxF)
    return dense(h_NxF, down_FxD)


class RMSNorm(nnx.Module):
    """Root-mean-square normalization with a learned gain (Zhang & Sennrich 2019)."""

    def __init__(self, width: int) -> None:
        self.gain = nnx.Param(jnp.ones(width, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """`x` normalized over its last axis."""
        return rms_norm(x, self.gain[...])


class FeedForward(nnx.Module):
    """Two matrices around a GELU, or SwiGLU's three (Shazeer 2020)."""

    def __init__(self, shape: Shape, scales: Scales, *, rngs: nnx.Rngs) -> None:
        d, f = shape.d_model, shape.d_ff
        out_gain = init.activation_gain(shape.activation) * init.residual_scale(scales)
        self.up = nnx.Param(init.normal(rngs.params(), (d, shape.n_inputs, f), fan_in=d))
        self.down = nnx.Param(init.normal(rngs.params(), (f, d), fan_in=f, gain=out_gain))

    def __call__(self, x_NxD: jax.Array) -> jax.Array:
        """The layer's output `y_NxD` for rows `x_NxD`."""
        return feed_forward(x_NxD, self.up[...], self.down[...])
