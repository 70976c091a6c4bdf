"""From loss to accuracy: laws of downstream tasks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling_jax.laws.catalogue.function import FunctionLaw, Parameter

if TYPE_CHECKING:
    import jax

Values = Mapping[str, "jax.Array"]


def _exponential(p: Values, v: Values) -> "jax.Array":
    import jax.numpy as jnp

    return p["epsilon"] - p["k"] * jnp.exp(-p["gamma"] * v["loss"])


ERROR_EXPONENTIAL = FunctionLaw(
    name="error-exponential",
    function=_exponential,
    parameters=(
        Parameter("epsilon", 0.3, 1),
        Parameter("k", 0.1, 30),
        Parameter("gamma", 0.1, 3),
    ),
    variables=("loss",),
    response="error",
    signed=("error",),
    formula="Err = epsilon - k exp(-gamma L)",
    source="Gadre et al. 2024 (arXiv 2403.08540)",
    units={"loss": "nats per token", "error": "share of answers that are wrong"},
    # Average top-1 error of 17 tasks from the loss on C4, by training corpus.
    published={
        "gadre-2024-c4": dict(epsilon=0.8497, k=2.0789, gamma=0.7561),
        "gadre-2024-redpajama": dict(epsilon=0.8570, k=2.2065, gamma=0.7146),
        "gadre-2024-refinedweb": dict(epsilon=0.8653, k=2.2148, gamma=0.7070),
    },
)


def _sigmoid(p: Values, v: Values) -> "jax.Array":
    import jax

    rise = jax.nn.sigmoid(p["slope"] * (p["middle"] - v["loss"]))
    return p["chance"] + (p["ceiling"] - p["chance"]) * rise


ACCURACY_SIGMOID = FunctionLaw(
    name="accuracy-sigmoid",
    function=_sigmoid,
    parameters=(
        Parameter("chance", 0, 0.5, positive=False),
        Parameter("ceiling", 0.5, 1, positive=False),
        Parameter("slope", 0.3, 30),
        Parameter("middle", 0.3, 6),
    ),
    variables=("loss",),
    response="accuracy",
    signed=("accuracy",),
    formula="Acc = chance + (ceiling - chance) / (1 + exp(slope (L - middle)))",
    # Second-hand for the paper; its form read in public code that refits it.
    source="Bhagia et al. 2024 (arXiv 2412.04403), step 2, L the loss of the task's answers",
    units={"loss": "nats", "accuracy": "share of answers that are right"},
)
