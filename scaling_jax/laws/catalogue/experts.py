"""Laws of mixtures of experts: sums of powers, and laws with a saturating number of experts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling_jax.laws.catalogue.function import FunctionLaw, Parameter
from scaling_jax.laws.catalogue.power_sum import PowerSum, Term
from scaling_jax.laws.catalogue.size_and_data import UNITS

if TYPE_CHECKING:
    import jax

Values = Mapping[str, "jax.Array"]

GRANULARITY = PowerSum(
    name="granularity",
    terms=(
        Term("c", {}),
        Term("g", {"granularity": {"gamma": -1}, "params": {"alpha": -1}}),
        Term("a", {"params": {"alpha": -1}}),
        Term("b", {"tokens": {"beta": -1}}),
    ),
    exponents=("gamma", "alpha", "beta"),
    formula="L = c + (g / G^gamma + a) / N^alpha + b / D^beta",
    source="Krajewski et al. 2024 (arXiv 2402.07871)",
    units={
        "granularity": "feed-forward width over an expert's width",
        **UNITS,
        "params": "parameters of all experts, without embeddings",
    },
    # Expansion rate 64.
    published={
        "krajewski-2024": dict(c=0.47, g=2.1, a=18.1, b=30.8, gamma=0.58, alpha=0.115, beta=0.147),
    },
)

SPARSITY = PowerSum(
    name="sparsity",
    terms=(
        Term("e", {}),
        Term("a", {"params": {"alpha": -1}}),
        Term("b", {"tokens": {"beta": -1}}),
        Term("c", {"active_fraction": {"lambda": 1}}),
        Term("d", {"active_fraction": {"delta": -1}, "params": {"gamma": -1}}),
    ),
    exponents=("alpha", "beta", "lambda", "delta", "gamma"),
    formula="L = e + a / N^alpha + b / D^beta + c (1-S)^lambda + d / ((1-S)^delta N^gamma)",
    # The paper divides by (1-S)^lambda and finds lambda negative; here it is positive.
    source="Abnar et al. 2025 (arXiv 2501.12370), with the opposite sign of lambda",
    units={
        "active_fraction": "1 - S, active experts over all experts",
        **UNITS,
        "params": "parameters of all experts",
    },
    # Second-hand: read in two public repositories, not in the paper's text.
    published={
        "abnar-2025": {
            "e": 0.94,
            "a": 16612.50,
            "b": 5455.67,
            "c": 0.4598,
            "d": 17.26,
            "alpha": 0.5962,
            "beta": 0.3954,
            "lambda": 0.1666,
            "delta": 0.1603,
            "gamma": 0.1595,
        },
    },
)

_ACTIVE_UNITS = {
    "params_active": "parameters that a token passes through",
    "n_experts": "experts per layer, 1 for a dense model",
    "loss": "nats per token",
}
_EXPERTS = (Parameter("E_start", 1, 5), Parameter("E_max", 50, 1000))


def saturated_experts(n_experts: "jax.Array", start: "jax.Array", most: "jax.Array") -> "jax.Array":
    """Effective number of experts: `start` of a dense model, never above `most`.

    `1 / E' = 1 / (E - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max` (Clark et al. 2022, arXiv
    2202.01169).
    """
    return 1 / (1 / (n_experts - 1 + 1 / (1 / start - 1 / most)) + 1 / most)


def _routed(p: Values, v: Values) -> "jax.Array":
    import jax.numpy as jnp

    log_n = jnp.log10(v["params_active"])
    log_e = jnp.log10(saturated_experts(v["n_experts"], p["E_start"], p["E_max"]))
    return 10 ** (p["a"] * log_n + p["b"] * log_e + p["c"] * log_n * log_e + p["d"])


ROUTED = FunctionLaw(
    name="routed",
    function=_routed,
    parameters=(
        Parameter("a", -0.3, -0.01, positive=False),
        Parameter("b", -0.5, 0.1, positive=False),
        Parameter("c", -0.05, 0.05, positive=False),
        Parameter("d", 0, 3, positive=False),
        *_EXPERTS,
    ),
    variables=("params_active", "n_experts"),
    formula="log10 L = a log10 N + b log10 E' + c log10 N log10 E' + d, E' saturating",
    source="Clark et al. 2022 (arXiv 2202.01169)",
    units=_ACTIVE_UNITS,
    # Second-hand: the paper's table, not read in its text. A refit of the released runs agrees in
    # the exponents within 10 %.
    published={
        "clark-2022-s-base": dict(
            a=-0.082, b=-0.108, c=0.009, d=1.104, E_start=1.847, E_max=314.478
        ),
        "clark-2022-rl-r": dict(a=-0.083, b=-0.126, c=0.012, d=1.111, E_start=1.880, E_max=469.982),
        "clark-2022-hash": dict(a=-0.087, b=-0.136, c=0.012, d=1.157, E_start=4.175, E_max=477.741),
    },
)


def _joint(p: Values, v: Values) -> "jax.Array":
    import jax.numpy as jnp

    log_e = jnp.log(saturated_experts(v["n_experts"], p["E_start"], p["E_max"]))
    log_n, log_d = jnp.log(v["params_active"]), jnp.log(v["tokens"])
    size = jnp.exp(p["delta"] * log_e + (p["alpha"] + p["gamma"] * log_e) * log_n)
    data = jnp.exp(p["omega"] * log_e + (p["beta"] + p["zeta"] * log_e) * log_d)
    return p["a"] * size + p["b"] * data + p["c"]


JOINT_EXPERTS = FunctionLaw(
    name="joint-experts",
    function=_joint,
    parameters=(
        Parameter("a", 1, 1000),
        Parameter("alpha", -0.5, -0.05, positive=False),
        Parameter("delta", -1, 1, positive=False),
        Parameter("gamma", -0.05, 0.05, positive=False),
        Parameter("b", 1, 1000),
        Parameter("beta", -0.5, -0.05, positive=False),
        Parameter("omega", -1, 1, positive=False),
        Parameter("zeta", -0.05, 0.05, positive=False),
        *_EXPERTS,
        Parameter("c", 0.3, 3),
    ),
    variables=("params_active", "tokens", "n_experts"),
    formula="L = a E'^delta N^(alpha + gamma ln E') + b E'^omega D^(beta + zeta ln E') + c",
    source="Ludziejewski et al. 2025 (arXiv 2502.05172), Table 3",
    units={"tokens": "tokens", **_ACTIVE_UNITS},
    published={
        "ludziejewski-2025": dict(
            a=35.91,
            alpha=-0.1889,
            delta=-0.2285,
            gamma=0.0098,
            b=35.98,
            beta=-0.1775,
            omega=0.5529,
            zeta=-0.0259,
            E_start=2.0732,
            E_max=290.4521,
            c=1.3637,
        ),
    },
)
