"""The transformer, its initialization and its loss."""

from scaling_jax.model.loss import chunked_losses as chunked_losses
from scaling_jax.model.loss import mean_loss as mean_loss
from scaling_jax.model.loss import token_losses as token_losses
from scaling_jax.model.transformer import Transformer as Transformer
