"""Stacked LSTM layers between the transformer's embedding and output matrix."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from scaling_jax.architectures.lstm import GATES
from scaling_jax.config import Dropout, Shape
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.model import init
from scaling_jax.model.kernels import Kernel
from scaling_jax.model.layers import RMSNorm
from scaling_jax.model.partition import constrain
from scaling_jax.model.products import dense
from scaling_jax.model.transformer import Transformer
from scaling_jax.scales import Scales

# Cells that forget at the start of training never learn long dependencies (Jozefowicz et al. 2015).
_FORGET_BIAS = 1.0


class LSTMBlock(nnx.Module):
    """One layer: a long short-term memory (Hochreiter & Schmidhuber 1997) on the residual stream.

    The layer's input is normalized, and its state is added to the residual stream, so that deep
    stacks train, as in Wu et al. 2016 (1609.08144). Gates are in the order input, forget, value,
    output.
    """

    def __init__(
        self, shape: Shape, scales: Scales, dropout: Dropout = NO_DROPOUT, *, rngs: nnx.Rngs
    ) -> None:
        d = shape.d_model
        self.norm = RMSNorm(d)
        self.gates_input = nnx.Param(init.normal(rngs.params(), (d, GATES, d), fan_in=d))
        self.gates_state = nnx.Param(init.normal(rngs.params(), (d, GATES, d), fan_in=d))
        forget = jnp.zeros((GATES, d), jnp.float32).at[1].set(_FORGET_BIAS)
        self.gates_bias = nnx.Param(forget)

    def __call__(
        self, x_NxD: jax.Array, seq_len: int, attend: Kernel, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, None]:
        """The residual stream `x_NxD` after the layer.

        The layer has no scores to `attend` to, and drops nothing: `RunConfig` refuses dropout.
        """
        # The products with the inputs of all positions are one, outside the loop over positions.
        z_NxQ = dense(self.norm(x_NxD), self.gates_input[...])
        d = x_NxD.shape[1]
        z_TxBxIxD = z_NxQ.reshape(-1, seq_len, GATES, d).swapaxes(0, 1)
        z_TxBxIxD = constrain(z_TxBxIxD, None, "batch", None, "mlp")
        # Gathered once, not at every position, where the parameters are sharded.
        state_DxIxD = constrain(self.gates_state[...].astype(x_NxD.dtype), None, None, "mlp")
        h_TxBxD = _states(z_TxBxIxD, state_DxIxD, self.gates_bias[...])
        h_NxD = h_TxBxD.swapaxes(0, 1).reshape(x_NxD.shape)
        return constrain(x_NxD + h_NxD, "batch", None), None


class LSTM(Transformer):
    """Stacked LSTM layers from token ids to next-token logits, as Kaplan et al. 2020 compare them.

    Embedding, final normalization and output matrix are the transformer's. There are no positions:
    a state is computed from the one before.
    """

    layer = LSTMBlock


def _states(z_TxBxIxD: jax.Array, state_DxIxD: jax.Array, bias_IxD: jax.Array) -> jax.Array:
    """States `h_TxBxD` of the cells, whose gates have the products `z_TxBxIxD` with their input."""
    d, dtype = z_TxBxIxD.shape[-1], z_TxBxIxD.dtype
    state_DxQ = state_DxIxD.reshape(d, -1)

    def step(carry: Any, z_BxIxD: jax.Array) -> tuple[Any, jax.Array]:
        h_BxD, cell_BxD = carry
        from_state_BxQ = jnp.matmul(h_BxD, state_DxQ, preferred_element_type=jnp.float32)
        gates_BxIxD = z_BxIxD.astype(jnp.float32) + from_state_BxQ.reshape(z_BxIxD.shape)
        gates_BxIxD = gates_BxIxD + jnp.broadcast_to(bias_IxD, z_BxIxD.shape)
        gates_BxIxD = constrain(gates_BxIxD, "batch", None, "mlp")
        enter_BxD, keep_BxD, show_BxD = (jax.nn.sigmoid(gates_BxIxD[:, i]) for i in (0, 1, 3))
        cell_BxD = keep_BxD * cell_BxD + enter_BxD * jnp.tanh(gates_BxIxD[:, 2])
        h_BxD = (show_BxD * jnp.tanh(cell_BxD)).astype(dtype)
        return (h_BxD, cell_BxD), h_BxD

    b = z_TxBxIxD.shape[1]
    start = jnp.zeros((b, d), dtype), jnp.zeros((b, d), jnp.float32)
    return jax.lax.scan(step, start, z_TxBxIxD)[1]
