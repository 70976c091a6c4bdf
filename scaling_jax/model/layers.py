"""The pieces of a block besides attention: RMS normalization and the feed-forward layer."""

import jax
import jax.numpy as jnp
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import init
from scaling_jax.model.products import dense
from scaling_jax.scales import Scales

NORM_EPS = 1e-6


def rms_norm(x: jax.Array, gain: jax.Array) -> jax.Array:
    """`gain * x / rms(x)` over the last axis, reduced in float32, in the dtype of `x`."""
    x32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x32), axis=-1, keepdims=True)
    scaled = x32 * jax.lax.rsqrt(mean_square + NORM_EPS)
    return (scaled * jnp.broadcast_to(gain, x.shape)).astype(x.dtype)


class RMSNorm(nnx.Module):
    """Root-mean-square normalization with a learned gain (Zhang & Sennrich 2019)."""

    def __init__(self, width: int) -> None:
        self.gain = nnx.Param(jnp.ones(width, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalize the last axis."""
        return rms_norm(x, self.gain[...])


class FeedForward(nnx.Module):
    """Two matrices around a GELU, or SwiGLU's three (Shazeer 2020)."""

    def __init__(self, shape: Shape, scales: Scales, *, rngs: nnx.Rngs) -> None:
        d, f = shape.d_model, shape.d_ff
        self.activation = shape.activation
        n_inputs = 2 if shape.activation == "swiglu" else 1
        out_gain = init.activation_gain(shape.activation) * init.residual_scale(scales)
        self.up = nnx.Param(init.normal(rngs.params(), (d, n_inputs, f), fan_in=d))
        self.down = nnx.Param(init.normal(rngs.params(), (f, d), fan_in=f, gain=out_gain))

    def __call__(self, x_NxD: jax.Array) -> jax.Array:
        """Map rows `x_NxD` to rows of the same shape."""
        # A product for each input, so that devices that share out F exchange nothing of it.
        inputs_Dx1xF = jnp.split(self.up[...], self.up.shape[1], axis=1)
        h_NxF, *value_NxF = (dense(x_NxD, up_Dx1xF[:, 0]) for up_Dx1xF in inputs_Dx1xF)
        if self.activation == "swiglu":
            h_NxF = jax.nn.silu(h_NxF) * value_NxF[0]
        else:
            h_NxF = jax.nn.gelu(h_NxF, approximate=True)
        return dense(h_NxF, self.down[...])
