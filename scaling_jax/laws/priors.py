"""What is known of a law's constants beside the rows: normal priors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError, suggestion

if TYPE_CHECKING:
    from scaling_jax.laws.catalogue.law import Law


@dataclass(frozen=True)
class Prior:
    """A normal prior of one constant: of its logarithm where the constant must be positive.

    >>> from scaling_jax.laws.priors import Prior
    >>> Prior(1.6, 0.1)  # a floor of 1.6, give or take 10 %
    Prior(centre=1.6, spread=0.1, relative=False)

    Attributes:
        centre: the median.
        spread: standard deviation; of a positive constant's logarithm, so a relative one.
        relative: whether the centre is a share of the lowest measured response, which makes a
            prior of a floor independent of the loss's unit.
    """

    centre: float
    spread: float
    relative: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.centre):
            raise InputError(f"the prior's centre {self.centre} must be a finite number")
        if not 0 < self.spread < math.inf:
            raise InputError(
                f"the prior's spread {self.spread} must be positive and finite: hold the constant "
                "instead of giving a prior of no spread"
            )


Priors = Mapping[str, Prior]


def prior_from(centre: float, deviation: float, positive: bool) -> Prior:
    """The prior `centre +- deviation`, in the constant's own unit.

    Raises:
        InputError: a centre that the constant cannot have.
    """
    if positive and not centre > 0:
        raise InputError(f"the prior's centre {centre} must be positive, as the constant is")
    return Prior(centre, deviation / centre if positive else deviation)


def require_known(priors: Mapping[str, object], names: Sequence[str], law: str) -> None:
    """Refuse a prior of a constant that the law does not have.

    Raises:
        InputError: names the constant and the nearest one of the law.
    """
    for name in priors:
        if name not in names:
            raise InputError(f"the law {law!r} has no {name!r}{suggestion(name, list(names))}")


def priors_of(law: "Law", given: Mapping[str, tuple[float, float]]) -> Priors:
    """The law's priors, with those given as centre and deviation added or put over them."""
    own = {n: prior_from(*prior, positive=n in law.positive) for n, prior in given.items()}
    return {**law.priors, **own}
