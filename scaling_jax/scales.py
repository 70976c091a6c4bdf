"""How a model's initialization, multipliers and learning rates depend on its size.

A parameterization is relative to a base model, the one whose hyperparameters were tuned. At the
base size all three parameterizations are equal, number for number. With m = d_model / base_d_model
and l = n_layers / base_n_layers, and everything that the table does not list as under `standard`:

| | standard | mup | completep |
|---|---|---|---|
| variance of the token and output tables | 1 / d_model | 1 / base_d_model | 1 / base_d_model |
| factor of the embedding | √d_model | √base_d_model | √base_d_model |
| factor of the logits | 1 | 1 / m | 1 / m |
| factor of the scores | 1 / √head_dim | √base_head_dim / head_dim | √base_head_dim / head_dim |
| factor of a residual branch | 1 | 1 | 1 / l |
| depth in the initialization's 1 / √(2 depth) | n_layers | n_layers | base_n_layers |
| learning rate of hidden matrices, Adam and Adafactor | 1 | 1 / m | 1 / m |
| learning rate of hidden matrices, Muon | 1 | 1 / √m | 1 / √m |
| learning rate of routers, every optimizer | 1 | 1 / m | 1 / m |
| Adam's epsilon, everything inside blocks | 1 | 1 / m | 1 / (m l) |
| Adam's epsilon, tables and the last gain | 1 | 1 / m | 1 / m |

Hidden matrices and routers have variance 1 / fan-in under all three. An expert's matrices are
hidden matrices like those of a feed-forward layer. A router's output has one number per expert at
every width, so its logits start at unit scale and change at the same rate at every width. That
holds under Muon too, where Adam trains the router. The product of learning rate and weight decay
is the same for all matrices at every size, so decay is not multiplied.

muP is Yang et al. 2022 (2203.03466), table 8, in its form for tied embeddings; CompleteP is Dey et
al. 2025 (2505.01618), table 1, with alpha = 1. Both papers assume Adam. Adafactor runs without
scaling by the parameters' size, so its updates have Adam's scale. Muon's updates have full rank
and the root mean square of Adam's, so their spectral norm grows as √m at a fixed learning rate. The
factor 1 / √m keeps the norm constant, the condition of Yang et al. 2023 (2310.17813) under which
features change at the same rate at every width.
"""

import math
from dataclasses import dataclass

from scaling_jax.config import OptimizerName, Shape
from scaling_jax.config.parameterization import Parameterization


@dataclass(frozen=True)
class Scales:
    """The factors of a parameterization for one shape.

    Attributes:
        table_fan_in: the token and output tables have variance 1 / table_fan_in, and the embedding
            is multiplied by √table_fan_in.
        logits: factor of the logits, 1 / m.
        scores: factor of the attention scores, in addition to 1 / √head_dim.
        branch: factor of a residual branch, 1 / l.
        init_layers: depth in the initialization's 1 / √(2 depth).
    """

    table_fan_in: int
    logits: float
    scores: float
    branch: float
    init_layers: int

    def hidden_lr(self, optimizer: OptimizerName) -> float:
        """Factor of the learning rate of hidden matrices under `optimizer`."""
        return math.sqrt(self.logits) if optimizer == "muon" else self.logits

    @property
    def router_lr(self) -> float:
        """Factor of the learning rate of routers."""
        return self.logits

    def epsilon(self, *, in_block: bool) -> float:
        """Factor of Adam's epsilon, of a block's parameters or of the tables and the last gain."""
        return self.logits * self.branch if in_block else self.logits


def scales_of(parameterization: Parameterization, shape: Shape) -> Scales:
    """The factors of `parameterization` for a model of `shape`."""
    width = parameterization.base_d_model or shape.d_model
    head_dim = parameterization.base_head_dim or shape.head_size
    # muP has no base depth: its initialization uses the model's own depth.
    depth = parameterization.base_n_layers or shape.depth
    return Scales(
        table_fan_in=width,
        logits=width / shape.d_model,
        scores=math.sqrt(head_dim / shape.head_size),
        branch=depth / shape.depth,
        init_layers=depth,
    )
