"""How a model's initialization, multipliers and learning rates depend on its size.

A parameterization is said relative to a base size, the one that hyper-parameters were tuned at:
there all three are the same, number for number. With m = d_model / base_d_model and
l = n_layers / base_n_layers, and everything not listed as under `standard`:

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
| Adam's epsilon, hidden matrices and routers | 1 | 1 / m | 1 / (m l) |
| Adam's epsilon, tables and gains | 1 | 1 / m | 1 / m |

Hidden matrices and routers have variance 1 / fan-in under all three. An expert's matrices are
hidden matrices like those of a feed-forward layer. A router turns the width into as many numbers
as there are experts, whatever the width: its logits start at unit scale and move alike at every
width, under Muon too, which leaves it to Adam. The learning rate times the weight
decay is the same for all matrices at every size, so decay is not multiplied.

muP is Yang et al. 2022 (2203.03466), table 8, its form for tied embeddings; CompleteP is Dey et
al. 2025 (2505.01618), table 1, with alpha = 1. Both are about Adam. Adafactor is used without
scaling by the parameters' size, so its updates have Adam's scale. Muon's updates have full rank,
with the root mean square of Adam's and so a spectral norm that grows as √m at a fixed learning
rate; 1 / √m keeps it, which is the condition of Yang et al. 2023 (2310.17813) for features to
change alike at every width.
"""

import math
from dataclasses import dataclass

from scaling_jax.config import OptimizerName, Shape
from scaling_jax.config.parameterization import Parameterization


@dataclass(frozen=True)
class Scales:
    """Numbers of the table for one shape.

    Attributes:
        table_fan_in: the variance of the tables is one over this, the embedding's factor its root.
        logits: factor of the logits, 1 / m.
        scores: factor of the attention scores beside 1 / √head_dim.
        branch: factor of a residual branch, 1 / l.
        init_layers: depth that the initialization of residual branches is divided by.
    """

    table_fan_in: int
    logits: float
    scores: float
    branch: float
    init_layers: int

    def hidden_lr(self, optimizer: OptimizerName) -> float:
        """Factor of the learning rate of hidden matrices."""
        return math.sqrt(self.logits) if optimizer == "muon" else self.logits

    @property
    def router_lr(self) -> float:
        """Factor of the learning rate of routers."""
        return self.logits

    def epsilon(self, *, hidden: bool) -> float:
        """Factor of Adam's epsilon."""
        return self.logits * self.branch if hidden else self.logits


def scales_of(parameterization: Parameterization, shape: Shape) -> Scales:
    """What the table says of one shape."""
    width = parameterization.base_d_model or shape.d_model
    head_dim = parameterization.base_head_dim or shape.head_size
    # Under muP the initialization still follows the model's own depth.
    depth = parameterization.base_n_layers or shape.n_layers
    return Scales(
        table_fan_in=width,
        logits=width / shape.d_model,
        scores=math.sqrt(head_dim / shape.head_size),
        branch=depth / shape.n_layers,
        init_layers=depth,
    )
