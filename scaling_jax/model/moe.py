"""A mixture of experts: a router chooses the feed-forward layers that process each token.

Top-k token choice (Shazeer et al. 2017, 1701.06538; for k = 1 Fedus et al. 2022, 2101.03961).
Every expert has a fixed number of rows for each sequence, `Shape.expert_rows`. The tokens that
choose an expert get its rows in the order of their positions; when all rows are taken, the expert
skips the remaining tokens, and its output for them is zero. So the output at a position depends
only on this and earlier positions of the same sequence, however the batch is divided.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import init
from scaling_jax.model.layers import feed_forward
from scaling_jax.model.partition import constrain
from scaling_jax.model.products import dense
from scaling_jax.scales import Scales


class Experts(nnx.Module):
    """`n_experts` feed-forward layers and the router that chooses `experts_per_token` of them."""

    def __init__(self, shape: Shape, scales: Scales, *, rngs: nnx.Rngs) -> None:
        self.shape = shape
        d, f, e = shape.d_model, shape.d_ff, shape.n_experts
        out_gain = init.activation_gain(shape.activation) * init.residual_scale(scales)
        self.router = nnx.Param(init.normal(rngs.params(), (d, e), fan_in=d))
        self.expert_up = nnx.Param(init.normal(rngs.params(), (e, d, shape.n_inputs, f), fan_in=d))
        self.expert_down = nnx.Param(init.normal(rngs.params(), (e, f, d), fan_in=f, gain=out_gain))

    def __call__(self, x_NxD: jax.Array, seq_len: int) -> tuple[jax.Array, jax.Array]:
        """The layer's output `y_NxD` for rows `x_NxD`, and `balance_B` of every sequence."""
        x_BxTxD = x_NxD.reshape(-1, seq_len, x_NxD.shape[1])
        probability_BxTxE = self._probabilities(x_NxD).reshape(*x_BxTxD.shape[:2], -1)
        is_choice_BxTxJxE = choices(probability_BxTxE, self.shape.experts_per_token)
        weight_BxTxJ = jnp.where(is_choice_BxTxJxE, probability_BxTxE[:, :, None], 0.0).sum(-1)
        if self.shape.experts_per_token > 1:
            weight_BxTxJ = weight_BxTxJ / weight_BxTxJ.sum(-1, keepdims=True)
        slots = _slots(is_choice_BxTxJxE, self.shape.expert_rows(seq_len))
        y_BxSxD = self._run(_dispatch(self.shape.experts_per_token, x_BxTxD, *slots))
        y_BxTxJxD = _collect(y_BxSxD, *slots).reshape(*weight_BxTxJ.shape, -1)
        y_BxTxD = (y_BxTxJxD.astype(jnp.float32) * weight_BxTxJ[..., None]).sum(2)
        y_NxD = y_BxTxD.astype(x_NxD.dtype).reshape(x_NxD.shape)
        return y_NxD, balance(probability_BxTxE, is_choice_BxTxJxE)

    def _probabilities(self, x_NxD: jax.Array) -> jax.Array:
        # In float32 on every platform, because rounding would often change the choice of experts.
        with jax.default_matmul_precision("float32"):
            return jax.nn.softmax(dense(x_NxD.astype(jnp.float32), self.router[...]))

    def _run(self, x_BxSxD: jax.Array) -> jax.Array:
        """Output `y_BxSxD` of the experts' feed-forward layers for their rows."""
        (b, _, d), e = x_BxSxD.shape, self.shape.n_experts
        x_BxExCxD = constrain(x_BxSxD.reshape(b, e, -1, d), "batch", "expert")
        x_ExMxD = constrain(x_BxExCxD.swapaxes(0, 1).reshape(e, -1, d), "expert", "batch")
        y_ExMxD = feed_forward(x_ExMxD, self.expert_up[...], self.expert_down[...])
        y_BxExCxD = constrain(y_ExMxD, "expert", "batch").reshape(e, b, -1, d).swapaxes(0, 1)
        return constrain(y_BxExCxD, "batch", "expert").reshape(b, -1, d)


def choices(probability_BxTxE: jax.Array, n: int) -> jax.Array:
    """`is_choice_BxTxJxE`: which expert is each token's first, second, ... choice of `n`."""
    # Not `top_k`: XLA would gather the probabilities of all devices for it.
    left_BxTxE, best = probability_BxTxE, []
    for _ in range(n):
        best_BxT = left_BxTxE.argmax(-1)
        is_best_BxTxE = jax.nn.one_hot(best_BxT, left_BxTxE.shape[-1], dtype=bool)
        best.append(is_best_BxTxE)
        left_BxTxE = jnp.where(is_best_BxTxE, -1.0, left_BxTxE)
    return jnp.stack(best, axis=2)


def balance(probability_BxTxE: jax.Array, is_choice_BxTxJxE: jax.Array) -> jax.Array:
    """`balance_B`: how unevenly the tokens of each sequence use the experts; 1 if evenly.

    It is E times the sum over experts of the fraction of choices times the mean probability (eq. 4
    of Fedus et al. 2022). Only the probabilities have a gradient.
    """
    share_BxE = is_choice_BxTxJxE.mean((1, 2), dtype=jnp.float32)
    return share_BxE.shape[1] * (share_BxE * probability_BxTxE.mean(1)).sum(-1)


def _slots(is_choice_BxTxJxE: jax.Array, n_rows: int) -> tuple[jax.Array, jax.Array]:
    """The experts' row `slot_BxR` of each choice, and the choice `source_BxS` in each row.

    The rows of all experts are numbered consecutively. A skipped choice has a slot beyond the last
    row, and an empty row has a source beyond the last choice.
    """
    b, t, j, e = is_choice_BxTxJxE.shape
    is_choice_BxRxE = is_choice_BxTxJxE.reshape(b, t * j, e)
    taken_BxRxE = jnp.cumsum(is_choice_BxRxE, axis=1, dtype=jnp.int32) - 1
    first_1x1xE = n_rows * jnp.arange(e, dtype=jnp.int32)[None, None]
    slot_BxRxE = first_1x1xE + taken_BxRxE
    is_in_BxRxE = is_choice_BxRxE & (taken_BxRxE < n_rows)
    slot_BxR = jnp.where(is_in_BxRxE, slot_BxRxE, 0).sum(-1)
    slot_BxR = jnp.where(is_in_BxRxE.any(-1), slot_BxR, e * n_rows)

    @jax.vmap
    def sources(slot_R: jax.Array) -> jax.Array:
        empty_S = jnp.full(e * n_rows, t * j, jnp.int32)
        return empty_S.at[slot_R].set(jnp.arange(t * j, dtype=jnp.int32), mode="drop")

    return slot_BxR, sources(slot_BxR)


def _rows(x_BxTxD: jax.Array, index_BxR: jax.Array) -> jax.Array:
    """Rows of each sequence by index; zero if the index is beyond the end."""
    rows = partial(jnp.take, axis=0, mode="fill", fill_value=0)
    return jax.vmap(rows)(x_BxTxD, index_BxR)


# Every choice has at most one row and every row at most one choice. So the gradients of both
# lookups are lookups as well, which are faster than the scatter-add that JAX would derive.
@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _dispatch(
    n_choices: int, x_BxTxD: jax.Array, slot_BxR: jax.Array, source_BxS: jax.Array
) -> jax.Array:
    """`x_BxSxD`: the token in each row of the experts, zero in empty rows."""
    return _rows(x_BxTxD, source_BxS // n_choices)


def _dispatch_forward(
    n_choices: int, x_BxTxD: jax.Array, *slots: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return _dispatch(n_choices, x_BxTxD, *slots), slots[0]


def _dispatch_backward(
    n_choices: int, slot_BxR: jax.Array, grad_BxSxD: jax.Array
) -> tuple[jax.Array, None, None]:
    (b, _, d), grad_BxRxD = grad_BxSxD.shape, _rows(grad_BxSxD, slot_BxR)
    return grad_BxRxD.reshape(b, -1, n_choices, d).sum(2), None, None


_dispatch.defvjp(_dispatch_forward, _dispatch_backward)


@jax.custom_vjp
def _collect(y_BxSxD: jax.Array, slot_BxR: jax.Array, source_BxS: jax.Array) -> jax.Array:
    """`y_BxRxD`: the expert's output for each choice, zero for skipped choices."""
    return _rows(y_BxSxD, slot_BxR)


def _collect_forward(y_BxSxD: jax.Array, *slots: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _collect(y_BxSxD, *slots), slots[1]


def _collect_backward(source_BxS: jax.Array, grad_BxRxD: jax.Array) -> tuple[jax.Array, None, None]:
    return _rows(grad_BxRxD, source_BxS), None, None


_collect.defvjp(_collect_forward, _collect_backward)
