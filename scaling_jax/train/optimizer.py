"""AdamW with global-norm clipping, from Optax."""

from typing import Any

import jax
import optax

from scaling_jax.config import OptimizerConfig


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Clipped AdamW without its learning rate, which the step multiplies in.

    Leaving the learning rate out keeps runs of different horizons in one compiled program.
    Weight decay acts on matrices, not on the normalization gains.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.eps),
        optax.add_decayed_weights(config.weight_decay, mask=_decayed),
    )


def _decayed(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: not str(path[-1].key).endswith("gain"), params
    )
