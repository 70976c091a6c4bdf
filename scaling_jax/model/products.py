"""Matrix products whose gradients are in a form that XLA computes fast."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.xla_metadata import set_xla_metadata

# Checkpoint name of matrix products with weights, for rematerialization policies.
DENSE = "dense"

# Products with float32 results.
_float32_product = partial(jnp.matmul, preferred_element_type=jnp.float32)


def dense(x_NxD: jax.Array, w: jax.Array) -> jax.Array:
    """`x_NxD @ w_DxF`, or a batch of such products, in the dtype of `x_NxD`, for a weight `w`.

    `w` is reshaped: its leading axes may together be D, and its last ones F.
    """
    return checkpoint_name(product(x_NxD, w, x_NxD.dtype), DENSE)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x_NxD: jax.Array, w: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
    """`x_NxD @ w_DxF`, or a batch of such products, computed in the dtype of `x_NxD`.

    Sums are accumulated in float32 and returned in `dtype`. Each gradient has the dtype of its
    factor.
    """
    w_DxF = _factor(x_NxD, w)
    return jnp.matmul(x_NxD, w_DxF, preferred_element_type=dtype)


def _factor(x_NxD: jax.Array, w: jax.Array) -> jax.Array:
    w_DxF = w.reshape(*x_NxD.shape[:-2], x_NxD.shape[-1], -1)
    return w_DxF.astype(x_NxD.dtype)


def _product_forward(
    x_NxD: jax.Array, w: jax.Array, dtype: Any
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    # The backward pass keeps `w` as given; a loop over layers would stack the reshaped copies.
    return product(x_NxD, w, dtype), (x_NxD, w)


def _product_backward(
    dtype: Any, factors: tuple[jax.Array, jax.Array], y_grad_NxF: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x_NxD, w = factors
    y_grad_NxF = y_grad_NxF.astype(x_NxD.dtype)
    x_grad_NxD = product(y_grad_NxF, _factor(x_NxD, w).mT, x_NxD.dtype)
    return x_grad_NxD, second_gradient(x_NxD, y_grad_NxF).astype(w.dtype).reshape(w.shape)


product.defvjp(_product_forward, _product_backward)


def second_gradient(x_NxD: jax.Array, y_grad_NxF: jax.Array) -> jax.Array:
    """Float32 gradient `x_NxD.mT @ y_grad_NxF` of a product's second factor."""
    return jax.lax.platform_dependent(
        x_NxD, y_grad_NxF, cpu=_transposed_first, default=lambda x, y: _float32_product(x.mT, y)
    )


def _transposed_first(x_NxD: jax.Array, y_grad_NxF: jax.Array) -> jax.Array:
    """`x_NxD.mT @ y_grad_NxF`, with one factor transposed in memory beforehand; for a CPU."""
    # XLA's fast products on a CPU need factors in the memory layout of the product. Without the
    # barriers XLA folds the transposition into the product, which is then slower. In a batch of
    # products the smaller factor is transposed. For weights it is `x_NxD`, so that the gradient has
    # the weights' layout. A wide `x_NxD` is transposed as part of its recomputation, which
    # measurements found no slower than a separate transposition.
    keep, wide = jax.lax.optimization_barrier, x_NxD.size > y_grad_NxF.size
    if x_NxD.ndim > 2 and wide:
        return keep(_float32_product(keep(transposed(y_grad_NxF)), x_NxD)).mT
    return keep(_float32_product(keep(x_NxD.mT if wide else transposed(x_NxD)), y_grad_NxF))


def transposed(x: jax.Array) -> jax.Array:
    """`x.mT`; on a CPU as an operation of its own that XLA does not fuse with others."""
    # XLA transposes tile by tile. Fused with a multiplication it goes element by element, each from
    # another cache line, which takes four times as long.
    return jax.lax.platform_dependent(x, cpu=_transposed_apart, default=_transpose)


def _transposed_apart(x: jax.Array) -> jax.Array:
    with set_xla_metadata(inlineable="false"):
        return _transpose(x)


@jax.jit
def _transpose(x: jax.Array) -> jax.Array:
    return x.mT
