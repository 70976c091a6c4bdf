"""Next-token cross-entropy in nats, in float32."""

import jax
import jax.numpy as jnp


def token_losses(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    """Cross-entropy `loss_BxT` of each target, nats per token."""
    logits_BxTxV = logits_BxTxV.astype(jnp.float32)
    log_normalizer_BxT = jax.nn.logsumexp(logits_BxTxV, axis=-1)
    target_BxTx1 = jnp.take_along_axis(logits_BxTxV, targets_BxT[..., None], axis=-1)
    return log_normalizer_BxT - target_BxTx1[..., 0]
