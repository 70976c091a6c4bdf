"""The transformer, its initialization and its loss."""

from scaling_jax.model.loss import token_losses as token_losses
from scaling_jax.model.transformer import Transformer as Transformer
