"""Forms of the law that predictions are made with and averaged over, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.options import Options
from scaling_jax.laws.priors import Prior, Priors, prior_from

# Every form is the law `skaling` with these priors, or with constants held. Tables say little of
# the floor and of the powers one by one; priors matter where the rows are silent. Settled on
# published tables (docs/extrapolation.md).
_PRIORS: Priors = {
    "E": Prior(0.5, 0.4, relative=True),
    "k": Prior(0.5, 0.35),
    "alpha": Prior(0.4, 0.06),
    "beta": Prior(0.4, 0.06),
}


@dataclass(frozen=True)
class Form:
    """A law with priors and constants held.

    Attributes:
        name: in the printout.
        priors: of the constants of `skaling`.
        share: how likely the form is before the rows are seen, in shares.
        held: constants that are held; a floor held at 0 is no floor.
    """

    name: str
    priors: Priors
    share: float
    held: Mapping[str, float] = field(default_factory=dict)


# Measured grids have powers k below 1, and floors near zero only where k is small.
FORMS = (
    Form("skaling", _PRIORS, 0.8),
    Form("chinchilla", _PRIORS, 0.15, {"k": 1.0}),
    Form("floorless", _PRIORS, 0.05, {"E": 0.0}),
)


def candidates(options: Options) -> tuple[Form, ...]:
    """Every form that the options leave, the most general first.

    Constants that are held or have a prior of the user's are so in every form, and a form that
    contradicts them is left out.

    Raises:
        InputError: a constant that the laws do not have.
    """
    forms = (_with(form, options) for form in FORMS)
    distinct: dict[tuple[tuple[str, float], ...], Form] = {}
    for form in forms:
        if form is not None:
            distinct.setdefault(tuple(sorted(form.held.items())), form)
    return tuple(distinct.values())


def _with(form: Form, options: Options) -> Form | None:
    held = {**form.held}
    for name, value in options.fixed.items():
        SKALING.held_theta({name: value or 1.0})
        if held.setdefault(name, value) != value:
            return None
    given = {
        name: prior_from(*prior, positive=name in SKALING.positive)
        for name, prior in options.prior.items()
    }
    SKALING.prior_theta(given, 1.0)
    for name in given:
        if name in options.fixed:
            raise InputError(f"{name} is held and has a prior: give one of the two")
    if any(name in form.held for name in given):
        return None
    return replace(form, priors={**form.priors, **given}, held=held)
