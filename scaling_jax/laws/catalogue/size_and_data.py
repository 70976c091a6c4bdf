"""Laws of the loss in model size, training tokens and compute, with a floor."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling_jax.laws.catalogue.function import FunctionLaw, Parameter
from scaling_jax.laws.catalogue.power_sum import PowerSum, Term
from scaling_jax.laws.priors import Prior

if TYPE_CHECKING:
    import jax

Values = Mapping[str, "jax.Array"]

FLOOR = Term("E", {})
UNITS = {"params": "parameters", "tokens": "tokens", "loss": "nats per token"}
_HOFFMANN = "Hoffmann et al. 2022 (arXiv 2203.15556), equation 2"

CHINCHILLA = PowerSum(
    name="chinchilla",
    terms=(
        FLOOR,
        Term("A", {"params": {"alpha": -1}}),
        Term("B", {"tokens": {"beta": -1}}),
    ),
    exponents=("alpha", "beta"),
    formula="L = E + A / N^alpha + B / D^beta",
    source=_HOFFMANN,
    frontier=("alpha", "beta", "A", "B"),
    units=UNITS,
    published={
        # To the precision of the paper's TeX source, as Besiroglu et al. 2024 read it there.
        "hoffmann-2022": dict(
            E=math.exp(0.5267228),
            A=math.exp(6.0073404),
            B=math.exp(6.0179186),
            alpha=0.33917084,
            beta=0.2849083,
        ),
        # As printed, rounded so far that the objective on the paper's points triples.
        "hoffmann-2022-printed": dict(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28),
        # arXiv 2404.10102, Table 1.
        "besiroglu-2024": dict(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658),
        # arXiv 2305.16264, fitted to Hoffmann et al.'s IsoFLOP runs on C4.
        "muennighoff-2023-c4": dict(
            E=math.exp(0.6303),
            A=math.exp(5.9577),
            B=math.exp(7.9145),
            alpha=0.3348,
            beta=0.3829,
        ),
        # arXiv 2402.07871, dense models.
        "krajewski-2024-dense": dict(E=0.47, A=16.3, B=26.7, alpha=0.126, beta=0.127),
        # "Harm's law", as in its public calculator (huggingface.co/spaces/lvwerra/harms-law).
        "de-vries-2023": dict(E=1.62, A=406.4, B=410.7, alpha=0.336, beta=0.283),
        # arXiv 2401.00448, runs of 10 to 10,000 tokens per parameter; second-hand.
        "sardana-2023": dict(E=1.45, A=33.66, B=138.9, alpha=0.18, beta=0.24),
    },
)

# Videau et al. find k of .31 to .45 on two grids of runs and .77 to .90 on two others, with E and k
# trading off; exponents are of the order of Hoffmann et al.'s. The priors are wide beside what a
# table of a few dozen runs says, and keep the law from running away where a table says nothing.
SKALING = PowerSum(
    name="skaling",
    terms=CHINCHILLA.terms,
    exponents=("alpha", "beta"),
    outer="k",
    outside=1,
    formula="L = E + (A / N^alpha + B / D^beta)^k",
    source="Videau et al. 2026 (arXiv 2608.07222)",
    frontier=("alpha", "beta", "A", "B"),
    units=UNITS,
    priors={
        "E": Prior(0.6, 0.6, relative=True),
        "k": Prior(0.6, 0.5),
        "alpha": Prior(0.4, 0.25),
        "beta": Prior(0.4, 0.25),
    },
)

CHINCHILLA_TIED = PowerSum(
    name="chinchilla-tied",
    terms=(
        FLOOR,
        Term("A", {"params": {"alpha": -1}}),
        Term("B", {"tokens": {"alpha": -1}}),
    ),
    exponents=("alpha",),
    formula="L = E + A / N^alpha + B / D^alpha",
    source=f"{_HOFFMANN}, with alpha = beta (Muennighoff et al. 2023, arXiv 2305.16264)",
    frontier=("alpha", "alpha", "A", "B"),
    units=UNITS,
    published={
        "muennighoff-2023-c4": dict(
            E=math.exp(0.6254804), A=math.exp(6.255414), B=math.exp(7.3049974), alpha=0.3526596
        ),
    },
)

OVERTRAINING = PowerSum(
    name="overtraining",
    terms=(
        FLOOR,
        Term("a", {"tokens_per_param": {"eta": 1}, "flops": {"eta": -1}}),
        Term("b", {"tokens_per_param": {"eta": -1}, "flops": {"eta": -1}}),
    ),
    exponents=("eta",),
    formula="L = E + (a M^eta + b / M^eta) / C^eta, M = D / N",
    source="Gadre et al. 2024 (arXiv 2403.08540): alpha = beta = 2 eta, C = 6 N D",
    units={"tokens_per_param": "tokens per parameter", "flops": "FLOPs", "loss": "nats per token"},
    # For the loss on C4's evaluation split, by training corpus.
    published={
        "gadre-2024-c4": dict(E=1.5083, a=141.3, b=189.5, eta=0.1212),
        "gadre-2024-redpajama": dict(E=1.8366, a=212.2, b=366.7, eta=0.1364),
        "gadre-2024-refinedweb": dict(E=1.7345, a=157.1, b=246.2, eta=0.1272),
    },
)

WIDTH_DEPTH = PowerSum(
    name="width-depth",
    terms=(
        FLOOR,
        Term("A", {"d_model": {"alpha": -1}}),
        Term("C", {"n_layers": {"gamma": -1}}),
        Term("B", {"tokens": {"beta": -1}}),
    ),
    exponents=("alpha", "gamma", "beta"),
    formula="L = E + A / width^alpha + C / depth^gamma + B / D^beta",
    source="width and depth instead of N in Hoffmann et al. 2022 (arXiv 2203.15556)",
    units={"d_model": "channels", "n_layers": "layers", **UNITS},
)


def saturating(variable: str, *, response: str = "loss", unit: str = "") -> PowerSum:
    """A power law in one variable that falls to a floor, `E + A / x^alpha`."""
    return PowerSum(
        name=f"saturating-{variable}",
        terms=(FLOOR, Term("A", {variable: {"alpha": -1}})),
        exponents=("alpha",),
        formula=f"{response} = E + A / {variable}^alpha",
        source="Henighan et al. 2020 (arXiv 2010.14701), with A = x_0^alpha",
        response=response,
        units={variable: unit, response: UNITS.get(response, "")},
        scales={"x_0": ("A", "alpha")},
    )


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
