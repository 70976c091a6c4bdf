"""Laws of the loss in size, data and compute that are no sums of powers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling_jax.laws.catalogue.function import FunctionLaw, Parameter
from scaling_jax.laws.catalogue.size_and_data import CHINCHILLA_TIED

if TYPE_CHECKING:
    import jax

Values = Mapping[str, "jax.Array"]

# The base law, with alpha = beta, that repeats and surplus parameters modify.
_TIED = CHINCHILLA_TIED.published["muennighoff-2023-c4"]
_LOSS = {"loss": "nats per token"}


def _worth(surplus: "jax.Array", decay: "jax.Array") -> "jax.Array":
    """What `surplus` repeats are worth in fresh ones: at most `decay`."""
    import jax.numpy as jnp

    return -decay * jnp.expm1(-surplus / decay)


def _data_constrained(p: Values, v: Values) -> "jax.Array":
    import jax.numpy as jnp

    unique = jnp.minimum(v["unique_tokens"], v["tokens"])
    tokens = unique * (1 + _worth(v["tokens"] / unique - 1, p["R_D"]))
    # Parameters that the unique tokens support, in logs, where their slopes cannot overflow.
    log_g = jnp.log(p["alpha"] * p["A"] / (p["beta"] * p["B"])) / (p["alpha"] + p["beta"])
    log_supported = log_g + p["beta"] / p["alpha"] * (log_g + jnp.log(unique))
    log_base = jnp.minimum(log_supported, jnp.log(v["params"]))
    surplus = jnp.expm1(jnp.log(v["params"]) - log_base)
    log_params = log_base + jnp.log1p(_worth(surplus, p["R_N"]))
    return p["E"] + p["A"] * jnp.exp(-p["alpha"] * log_params) + p["B"] / tokens ** p["beta"]


DATA_CONSTRAINED = FunctionLaw(
    name="data-constrained",
    function=_data_constrained,
    parameters=(
        Parameter("E", 0.3, 3),
        Parameter("A", 10, 1e5),
        Parameter("B", 10, 1e5),
        Parameter("alpha", 0.15, 0.7),
        Parameter("beta", 0.15, 0.7),
        Parameter("R_D", 1, 100),
        Parameter("R_N", 1, 100),
    ),
    variables=("params", "tokens", "unique_tokens"),
    formula=(
        "L = E + A / N'^alpha + B / D'^beta, D' = U_D + U_D R_D (1 - exp(-(D / U_D - 1) / R_D)), "
        "N' = U_N + U_N R_N (1 - exp(-(N / U_N - 1) / R_N)), U_N = min(N_opt(U_D), N)"
    ),
    source="Muennighoff et al. 2023 (arXiv 2305.16264)",
    units={
        "params": "parameters",
        "tokens": "tokens, repeats counted",
        "unique_tokens": "tokens",
        **_LOSS,
    },
    published={
        # The objective is nearly flat in R_D from about 7 upwards on the released runs.
        "muennighoff-2023": dict(
            **_TIED,
            beta=_TIED["alpha"],
            R_D=15.387756,
            R_N=5.309743,
        ),
    },
)


def broken(
    variable: str, low: float, high: float, *, response: str = "loss", unit: str = ""
) -> FunctionLaw:
    """A power law with one smooth break, somewhere about `low` to `high` of the variable.

    `y = a + b x^(-c0) (1 + (x / d1)^(1 / f1))^(-c1 f1)`: the exponent is c0 before the break at
    d1 and c0 + c1 behind it; f1 is the width of the break in logs. (Caballero et al. 2022, arXiv
    2210.14891.)
    """

    def function(p: Values, v: Values) -> "jax.Array":
        import jax.numpy as jnp

        behind = jnp.logaddexp(0.0, jnp.log(v[variable] / p["d1"]) / p["f1"])
        log_y = -p["c0"] * jnp.log(v[variable]) - p["c1"] * p["f1"] * behind
        return p["a"] + p["b"] * jnp.exp(log_y)

    return FunctionLaw(
        name=f"broken-{variable}",
        function=function,
        parameters=(
            Parameter("a", 0.01, 3),
            Parameter("b", 0.1, 1e5),
            Parameter("c0", -0.2, 0.6, positive=False),
            Parameter("c1", -0.5, 0.5, positive=False),
            Parameter("d1", low, high),
            Parameter("f1", 0.05, 2),
        ),
        variables=(variable,),
        response=response,
        formula="y = a + b x^(-c0) (1 + (x / d1)^(1 / f1))^(-c1 f1)",
        source="Caballero et al. 2022 (arXiv 2210.14891), with one break",
        units={variable: unit},
    )
