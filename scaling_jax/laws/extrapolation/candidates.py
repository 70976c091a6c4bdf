"""Combinations of form, rows and weights that predictions are made with and averaged over."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.options import Options
from scaling_jax.laws.priors import Prior, Priors, prior_from

# Every form is the law `skaling` with priors of its own or with constants held. Averages of
# several prior widths did better on published tables than any single one (docs/extrapolation.md).
_FIRM: Priors = {
    "E": Prior(0.6, 0.4, relative=True).firmer(5),
    "k": Prior(0.6, 0.35).firmer(5),
    "alpha": Prior(0.4, 0.15).firmer(5),
    "beta": Prior(0.4, 0.15).firmer(5),
}
_WIDE: Priors = {
    "E": Prior(0.6, 1.0, relative=True),
    "alpha": Prior(0.4, 0.4),
    "beta": Prior(0.4, 0.4),
}
_FLOORLESS: Priors = {
    "k": Prior(0.6, 0.35),
    "alpha": Prior(0.4, 0.15),
    "beta": Prior(0.4, 0.15),
}
WITHIN: tuple[float | None, ...] = (None, 0.05, 0.02)
COMPUTE_POWERS = (0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Form:
    """A law with priors and constants held.

    Attributes:
        name: in the printout.
        priors: of the constants of `skaling`.
        usual: what it errs by on published tables, as scores are (docs/extrapolation.md), for
            tables that leave too few cut-offs to tell.
        held: constants that are held; a floor held at 0 is no floor.
    """

    name: str
    priors: Priors
    usual: float
    held: Mapping[str, float] = field(default_factory=dict)


FORMS = (
    Form("skaling", SKALING.priors, 0.006),
    Form("skaling, firm priors", _FIRM, 0.007),
    Form("chinchilla", _WIDE, 0.011, {"k": 1.0}),
    Form("floorless", _FLOORLESS, 0.014, {"E": 0.0}),
)


@dataclass(frozen=True)
class Candidate:
    """A form, the rows that it is fitted to, and their weights."""

    form: Form
    within: float | None
    compute_power: float


def candidates(options: Options) -> tuple[Candidate, ...]:
    """Every combination that the options leave.

    Constants that are held or have a prior of the user's are so in every form, and a form that
    contradicts them is left out; a window or weighting that the options name is the only one.

    Raises:
        InputError: a constant that the laws do not have.
    """
    forms = [_with(form, options) for form in FORMS]
    allowed = [form for form in forms if form is not None]
    windows = WITHIN if options.within is None else (options.within,)
    power = options.weight_by_compute
    powers = COMPUTE_POWERS if power is None else (power,)
    return tuple(Candidate(*each) for each in itertools.product(allowed, windows, powers))


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
    return Form(form.name, {**form.priors, **given}, form.usual, held)
