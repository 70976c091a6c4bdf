"""The transformer, its initialization and its loss.

Belongs here: modules and functions of arrays, and the names of the axes that can be sharded.
Does not: the mesh, optimizers and the training step (`train`), and factors by size (`scales`).
"""

from scaling_jax.api import public_names
from scaling_jax.model.loss import chunked_losses as chunked_losses
from scaling_jax.model.loss import mean_loss as mean_loss
from scaling_jax.model.loss import token_losses as token_losses
from scaling_jax.model.transformer import Transformer as Transformer


def __dir__() -> list[str]:
    return public_names(globals())
