"""Laws of params and tokens with known constants, published or fitted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws import allocation
from scaling_jax.laws.catalogue import CHINCHILLA, PowerSum
from scaling_jax.laws.conventions import SIX_N_D, Compute, Count
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.tables.layouts import NATS

_VARIABLES = {"params", "tokens"}


@dataclass(frozen=True)
class KnownLaw:
    """A law with its constants, the truth of a simulation.

    Attributes:
        form: the law.
        constants: name -> value of every constant.
        source: where the constants come from.
        count: which parameters N counts.
        unit: of the loss; empty where it is not known.

    Raises:
        InputError: constants missing or left over, or a form of more than params and tokens.
    """

    form: PowerSum
    constants: Mapping[str, float]
    source: str
    count: Count = "total"
    unit: str = NATS

    def __post_init__(self) -> None:
        self.form.ordered(self.constants)
        if not _VARIABLES.issuperset(self.form.variables):
            raise InputError(
                f"the law {self.form.name!r} reads {', '.join(self.form.variables)}, but only laws "
                "of params and tokens can be simulated"
            )

    @property
    def constants_P(self) -> np.ndarray:
        """The constants in the form's order."""
        return self.form.ordered(self.constants)

    def loss(self, params: np.ndarray | float, tokens: np.ndarray | float) -> np.ndarray:
        """Loss at N and D, elementwise."""
        return self.form.value(self.constants_P, {"params": params, "tokens": tokens})

    def optimal(self, flops: float, compute: Compute = SIX_N_D) -> tuple[float, float, float]:
        """Params, tokens and loss of the optimum at C = `flops`, by default of C = 6 N D.

        Raises:
            InputError: a law without a frontier.
        """
        point = allocation.form_frontier(self.form, self.constants_P, flops, compute)
        return (
            float(point.params),
            float(point.tokens),
            float(self.loss(point.params, point.tokens)),
        )

    @property
    def exponents(self) -> dict[str, float]:
        """Exponents a of N_opt and b of D_opt in C = 6 N D."""
        return self.exponents_in(SIX_N_D, (1.0, 1.0))

    def exponents_in(self, compute: Compute, flops_range: tuple[float, float]) -> dict[str, float]:
        """Exponents a of N_opt and b of D_opt in another C, as a fit over a range of C has them."""
        found = allocation.form_exponents(self.form, self.constants_P, compute, flops_range)
        return {name: float(value) for name, value in found.items()}


PUBLISHED: dict[str, KnownLaw] = {
    "chinchilla-hoffmann": KnownLaw(
        CHINCHILLA,
        CHINCHILLA.published["hoffmann-2022"],
        "Hoffmann et al. 2022 (arXiv 2203.15556), approach 3, at the precision of its TeX source",
    ),
    "chinchilla-besiroglu": KnownLaw(
        CHINCHILLA,
        CHINCHILLA.published["besiroglu-2024"],
        "Besiroglu et al. 2024 (arXiv 2404.10102), table 1",
    ),
}


def published_law(name: str) -> KnownLaw:
    """The published law called `name`.

    Raises:
        InputError: an unknown name, with the nearest known one.
    """
    if name not in PUBLISHED:
        raise InputError(f"unknown published law {name!r}{suggestion(name, list(PUBLISHED))}")
    return PUBLISHED[name]


def law_of(fit: Fit) -> KnownLaw:
    """The law and constants of a fit of approach 3.

    Raises:
        InputError: a fit by approach 1 or 2, which has no loss, or of a law that cannot be
            simulated.
    """
    if not isinstance(fit, LawFit):
        raise InputError(
            f"approach {fit.approach} fits the optimum, not the loss: fit with approach 3"
        )
    if not isinstance(fit.definition, PowerSum):
        raise InputError(
            f"the law {fit.law!r} is a function, but only sums of powers can be simulated: fit "
            "with --law chinchilla"
        )
    return KnownLaw(
        fit.definition,
        fit.params,
        "a fit",
        fit.count,  # type: ignore[arg-type]
        fit.unit,
    )


def law_at(text: str) -> KnownLaw:
    """A published law, or the law of a stored fit in a file that ends in `.json`.

    Raises:
        InputError: as `published_law`, `Fit.read` and `law_of`.
    """
    if text in PUBLISHED or not text.endswith(".json"):
        return published_law(text)
    return law_of(Fit.read(text))
