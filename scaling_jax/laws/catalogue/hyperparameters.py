"""Power laws of what to choose: learning rates, batch sizes, optimal sizes and horizons."""

import math

from scaling_jax.laws.catalogue.power_sum import PowerSum, Term
from scaling_jax.laws.conventions import PF_DAY

_STEP_LAW = "Li et al. 2025 (arXiv 2503.04715)"
_DEEPSEEK = "DeepSeek-AI 2024 (arXiv 2401.02954)"

# Porian et al. 2024 (arXiv 2406.19146) print a learning rate and a batch size in tokens at a
# reference size; the rate falls with N^(-1/3) from there, the batch grows with N^(2/3).
PORIAN_PARAMS = 108e6
PORIAN_LEARNING_RATE = 0.0047
PORIAN_BATCH_TOKENS = 160 * 2048

# Kaplan et al. 2020 (arXiv 2001.08361), Table 6: N = 1.3e9 C^0.73 without embeddings and
# D = 2e10 C^0.27, C in PF-days; (scale, exponent) of each.
KAPLAN_OPTIMAL_PARAMS = (1.3e9, 0.73)
KAPLAN_OPTIMAL_TOKENS = (2e10, 0.27)

LEARNING_RATE = PowerSum(
    name="learning-rate",
    terms=(Term("eta", {"params": {"n": 1}, "tokens": {"d": 1}}),),
    exponents=("n", "d"),
    formula="peak LR = eta N^n D^d",
    source=_STEP_LAW,
    response="peak_lr",
    units={"params": "parameters", "tokens": "tokens", "peak_lr": "step size of Adam"},
    published={
        # N without embeddings.
        "li-2025": dict(eta=1.797, n=-0.7129, d=0.3075),
        # With a constant schedule.
        "porian-2024": dict(eta=PORIAN_LEARNING_RATE * PORIAN_PARAMS ** (1 / 3), n=-1 / 3, d=0.0),
    },
)

BATCH_SIZE = PowerSum(
    name="batch-size",
    terms=(Term("b", {"params": {"n": 1}, "tokens": {"d": 1}}),),
    exponents=("n", "d"),
    formula="batch = b N^n D^d",
    source=_STEP_LAW,
    response="batch_tokens",
    units={"params": "parameters", "tokens": "tokens", "batch_tokens": "tokens"},
    published={
        "li-2025": dict(b=0.581, n=0.0, d=0.5709),
        "porian-2024": dict(b=PORIAN_BATCH_TOKENS / PORIAN_PARAMS ** (2 / 3), n=2 / 3, d=0.0),
        # arXiv 2410.21676: critical batches, there in sequences of 512 and millions of parameters.
        "zhang-2024-critical": dict(b=93.20 * 512 / 1e6**0.47, n=0.47, d=0.0),
        "zhang-2024-critical-fixed-tokens": dict(b=621.341 * 512 / 1e6**0.087, n=0.087, d=0.0),
    },
)


def power_law(
    name: str,
    variable: str,
    response: str,
    *,
    source: str,
    units: dict[str, str],
    published: dict[str, dict[str, float]] | None = None,
) -> PowerSum:
    """A power law in one variable without a floor, `response = c x^p`."""
    return PowerSum(
        name=name,
        terms=(Term("c", {variable: {"p": 1}}),),
        exponents=("p",),
        formula=f"{response} = c {variable}^p",
        source=source,
        response=response,
        units=units,
        published=published or {},
    )


def _of_pf_days(scale: float, exponent: float) -> dict[str, float]:
    """Constants in FLOPs of a law whose compute is in PF-days."""
    return {"c": scale / PF_DAY**exponent, "p": exponent}


_KAPLAN = "Kaplan et al. 2020 (arXiv 2001.08361), Table 6"

LEARNING_RATE_FLOPS = power_law(
    "learning-rate-flops",
    "flops",
    "peak_lr",
    source=_DEEPSEEK,
    units={"flops": "FLOPs, attention included", "peak_lr": "step size of Adam"},
    published={"deepseek-2024": {"c": 0.3118, "p": -0.1250}},
)

BATCH_SIZE_FLOPS = power_law(
    "batch-size-flops",
    "flops",
    "batch_tokens",
    source=f"{_DEEPSEEK}; {_KAPLAN}",
    units={"flops": "FLOPs", "batch_tokens": "tokens"},
    published={
        "deepseek-2024": {"c": 0.2920, "p": 0.3271},
        "kaplan-2020": _of_pf_days(2.0e6, 0.24),
    },
)

OPTIMAL_PARAMS = power_law(
    "optimal-params",
    "flops",
    "params",
    source=f"{_KAPLAN}; Hoffmann et al. 2022 (arXiv 2203.15556), Table 2, by N = G (C / 6)^a",
    units={"flops": "FLOPs", "params": "parameters"},
    published={
        "kaplan-2020": _of_pf_days(*KAPLAN_OPTIMAL_PARAMS),
        # arXiv 2406.19146, RefinedWeb, tuned.
        "porian-2024": {"c": 0.1189, "p": 0.4969},
    },
)

OPTIMAL_TOKENS = power_law(
    "optimal-tokens",
    "flops",
    "tokens",
    source=f"{_KAPLAN}; Grattafiori et al. 2024 (arXiv 2407.21783), section 3.2.1",
    units={"flops": "FLOPs", "tokens": "tokens"},
    published={
        "kaplan-2020": _of_pf_days(*KAPLAN_OPTIMAL_TOKENS),
        # So rounded that 3.8e25 FLOPs come to 10e12 tokens, where the paper has 16.55e12.
        "llama-3": {"c": 0.29, "p": 0.53},
        "deepseek-2024": {"c": 5.8316, "p": 0.4757},
    },
)

LEARNING_RATE_EXPERTS = PowerSum(
    name="learning-rate-experts",
    terms=(Term("eta", {"params_active": {"n": 1}, "n_experts": {"e": 1}}),),
    exponents=("n", "e"),
    formula="peak LR = eta N_active^n E^e",
    source="Ludziejewski et al. 2025 (arXiv 2502.05172)",
    response="peak_lr",
    units={
        "params_active": "active parameters, without embeddings",
        "n_experts": "experts per layer",
        "peak_lr": "step size of Adam",
    },
    published={"ludziejewski-2025": dict(eta=math.exp(8.39), n=-0.81, e=-0.25)},
)
