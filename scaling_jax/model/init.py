"""Initialization that keeps activations at unit scale at any depth and width.

Every matrix is normal with variance `gain² / fan_in`, so that a unit-scale input gives a
unit-scale output. The two matrices of a layer that write into the residual stream are also divided
by `sqrt(2 n_layers)`, so that all `2 n_layers` branches together add at most unit variance at any
depth. This holds at every size under the standard parameterization, and at the base size under the
others (`scaling_jax.scales`).
"""

import math

import jax
import jax.numpy as jnp

from scaling_jax.config import Activation
from scaling_jax.scales import Scales

# 1 / sqrt(E[f(x)^2]) for x ~ N(0, 1), by which the matrix after the non-linearity is multiplied.
# Both are one-dimensional Gaussian integrals; a test recomputes them.
_ACTIVATION_GAIN: dict[Activation, float] = {
    "gelu": 1.5335805,
    "swiglu": 1.6765325,
}


def activation_gain(activation: Activation) -> float:
    """Factor that restores unit scale after the non-linearity."""
    return _ACTIVATION_GAIN[activation]


def residual_scale(scales: Scales) -> float:
    """Scale of each of the `2 n_layers` branches that write into the residual stream."""
    return 1 / math.sqrt(2 * scales.init_layers)


def normal(key: jax.Array, dims: tuple[int, ...], fan_in: int, gain: float = 1.0) -> jax.Array:
    """Float32 normal values of standard deviation `gain / sqrt(fan_in)`."""
    scale = jnp.float32(gain / math.sqrt(fan_in))
    return jax.random.normal(key, dims, jnp.float32) * scale
