"""Laws of mixtures of experts that are sums of powers."""

from scaling_jax.laws.catalogue.power_sum import PowerSum, Term
from scaling_jax.laws.catalogue.size_and_data import UNITS

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
