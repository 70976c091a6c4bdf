"""The laws of Kaplan et al. 2020 (arXiv 2001.08361) that are sums of powers.

N counts parameters without embeddings. The paper writes `(N_c / N)^alpha`; here that is
`A / N^alpha` with `A = N_c^alpha`, and `PowerSum.scales_at` gives N_c back. The paper's
compute is in PF-days; here it is in FLOPs.
"""

from scaling_jax.laws.catalogue.power_sum import PowerSum, Term
from scaling_jax.laws.catalogue.size_and_data import FLOOR, UNITS
from scaling_jax.laws.conventions import PF_DAY

_PAPER = "Kaplan et al. 2020 (arXiv 2001.08361)"


def _scaled(scale: float, alpha: float) -> dict[str, float]:
    return {"A": scale**alpha, "alpha": alpha}


def _single(
    variable: str, symbol: str, source: str, unit: str, published: dict[str, dict[str, float]]
) -> PowerSum:
    return PowerSum(
        name=f"kaplan-{variable}",
        terms=(Term("A", {variable: {"alpha": -1}}),),
        exponents=("alpha",),
        formula=f"L = ({symbol}_c / {symbol})^alpha = A / {symbol}^alpha",
        source=f"{_PAPER}, {source}",
        units={variable: unit, "loss": "nats per token"},
        published=published,
        scales={f"{symbol}_c": ("A", "alpha")},
    )


KAPLAN_PARAMS = _single(
    "params",
    "N",
    "section 1.2: trained to near convergence on ample data",
    "parameters without embeddings",
    {
        "kaplan-2020": _scaled(8.8e13, 0.076),
        # github.com/shehper/scaling_laws, models up to 6.3 million parameters.
        "shehper": _scaled(3.8e13, 0.082),
    },
)

KAPLAN_TOKENS = _single(
    "tokens",
    "D",
    "section 1.2: a large model, stopped early",
    "tokens",
    {"kaplan-2020": _scaled(5.4e13, 0.095)},
)

KAPLAN_FLOPS = _single(
    "flops",
    "C",
    "section 1.2: compute at batches far below critical, or the trend of runs at a fixed batch",
    "FLOPs without embeddings (the paper: PF-days)",
    {
        "kaplan-2020": _scaled(3.1e8 * PF_DAY, 0.050),
        "kaplan-2020-fixed-batch": _scaled(1.6e7 * PF_DAY, 0.057),
        "shehper": _scaled(4.2e6 * PF_DAY, 0.056),
        "shehper-fixed-batch": _scaled(1.8e5 * PF_DAY, 0.074),
    },
)

KAPLAN_PARAMS_STEPS = PowerSum(
    name="kaplan-params-steps",
    terms=(
        Term("A", {"params": {"alpha_N": -1}}),
        Term("B", {"steps": {"alpha_S": -1}}),
    ),
    exponents=("alpha_N", "alpha_S"),
    formula="L = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S",
    source=f"{_PAPER}, equation 1.6 and Table 3",
    units={"steps": "steps at batches far above critical", **UNITS},
    published={
        "kaplan-2020": dict(A=6.5e13**0.077, B=2.1e3**0.76, alpha_N=0.077, alpha_S=0.76),
    },
    scales={"N_c": ("A", "alpha_N"), "S_c": ("B", "alpha_S")},
)

KAPLAN = PowerSum(
    name="kaplan",
    terms=(
        Term("A", {"params": {"rho": -1}}),
        Term("B", {"tokens": {"beta": -1}}),
    ),
    exponents=("rho", "beta"),
    outer="alpha_D",
    held={"beta": 1.0},
    formula="L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D = (A / N^rho + B / D)^alpha_D",
    source=f"{_PAPER}, equation 1.5 and Table 2; alpha_N = rho alpha_D",
    frontier=("rho", "beta", "A", "B"),
    units=UNITS,
    published={
        "kaplan-2020": dict(
            A=6.4e13 ** (0.076 / 0.103), B=1.8e13, rho=0.076 / 0.103, beta=1.0, alpha_D=0.103
        ),
        "shehper": dict(
            A=1.32e14 ** (0.076 / 0.122), B=1.22e12, rho=0.076 / 0.122, beta=1.0, alpha_D=0.122
        ),
    },
    scales={"N_c": ("A", "rho"), "D_c": ("B", "beta")},
)

KAPLAN_FLOOR = PowerSum(
    name="kaplan-floor",
    terms=(FLOOR, *KAPLAN.terms),
    exponents=KAPLAN.exponents,
    outer=KAPLAN.outer,
    outside=1,
    held=KAPLAN.held,
    formula=f"L = E + {KAPLAN.formula.removeprefix('L = ')}",
    source=f"{KAPLAN.source}; with the irreducible loss of Henighan et al. 2020 (arXiv 2010.14701)",
    frontier=KAPLAN.frontier,
    units=UNITS,
    scales=KAPLAN.scales,
)

KAPLAN_CRITICAL_BATCH = PowerSum(
    name="kaplan-critical-batch",
    terms=(Term("B_star", {"loss": {"inverse_alpha_B": -1}}),),
    exponents=("inverse_alpha_B",),
    formula="B_crit = B_star / L^(1 / alpha_B)",
    source=f"{_PAPER}, equation 5.3",
    response="batch_tokens",
    units={"loss": "nats per token", "batch_tokens": "tokens"},
    published={
        "kaplan-2020": dict(B_star=2.1e8, inverse_alpha_B=1 / 0.21),
        "shehper": dict(B_star=2.2e7, inverse_alpha_B=4.26),
    },
)
