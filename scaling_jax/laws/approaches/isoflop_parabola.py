"""Parabolas through many draws of one IsoFLOP curve at once."""

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.float64 import in_float64


@in_float64
def quadratics(x_N: np.ndarray, loss_BxN: np.ndarray) -> np.ndarray:
    """Least-squares `(c0, c1, c2)` of `loss = c0 + c1 x + c2 x^2`, `Bx3`, for every draw."""
    # Powers of ln N near 20 are nearly collinear; about its mean they are not.
    mean = x_N.mean()
    c0, c1, c2 = np.asarray(_centred_quadratics(x_N - mean, loss_BxN)).T
    return np.stack([c0 - c1 * mean + c2 * mean**2, c1 - 2 * c2 * mean, c2], axis=1)


@jax.jit
def _centred_quadratics(x_N: jax.Array, loss_BxN: jax.Array) -> jax.Array:
    basis_Nx3 = jnp.stack([jnp.ones_like(x_N), x_N, x_N**2], axis=1)
    return jnp.linalg.lstsq(basis_Nx3, loss_BxN.T)[0].T
