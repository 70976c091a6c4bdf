"""Profile-likelihood intervals beside the bootstrap's, as a table and as plain data."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.laws.fitted import Fit
    from scaling_jax.laws.uncertainty.profile import Profile
    from scaling_jax.laws.uncertainty.profile_table import Profiles

COLUMNS = ("quantity", "estimate", "bootstrap", "profile")
OF_OPTIMUM: dict[str, tuple[str, Callable[[Any], str]]] = {
    "params": ("N_opt", formatting.count),
    "tokens": ("D_opt", formatting.count),
    "loss": ("L_opt", formatting.loss),
}


def profile_text(fit: "Fit", found: "Profiles") -> list[str | Table]:
    """Every quantity with the interval of either kind."""
    level = formatting.level(fit.level)
    if isinstance(fit, LawFit):
        # Profiles are of the law as it is, and so are the intervals beside them.
        fit = dataclasses.replace(fit, form_error=None)
    intervals = {**(fit.exponent_intervals or {}), **(fit.intervals or {})}
    rows = [
        _row(name, profile, intervals.get(name), formatting.constant)
        for name, profile in {**found.constants, **found.exponents}.items()
    ]
    for flops, profiles in found.optima.items():
        optimum = fit.optimal(flops)
        for key, (name, form) in OF_OPTIMUM.items():
            at = f"{name} at {formatting.flops(flops)} FLOPs"
            rows.append(_row(at, profiles[key], getattr(optimum, f"{key}_interval"), form))
    why = (
        [f"note: exponents and optima have no profile in C = {fit.compute.relation}."]
        if fit.exponents and not found.exponents
        else []
    )
    return [
        f"\n{level} intervals by the bootstrap and by profile likelihood:\n",
        Table(COLUMNS, rows, COLUMNS[:1]),
        *why,
    ]


def profile_data(found: "Profiles") -> dict[str, Any]:
    """Every profile's estimate and interval; an end where the data do not bound it is null."""
    return {
        "constants": {name: _interval(each) for name, each in found.constants.items()},
        "exponents": {name: _interval(each) for name, each in found.exponents.items()},
        "optima": [
            {"flops": flops, **{name: _interval(each) for name, each in profiles.items()}}
            for flops, profiles in found.optima.items()
        ],
    }


def _interval(profile: "Profile") -> dict[str, Any]:
    low, high = _ends(profile)
    sides = [side for side, end in (("below", low), ("above", high)) if not math.isfinite(end)]
    return {"estimate": profile.estimate, "interval": [low, high], "unbounded": sides}


def _row(
    name: str, profile: "Profile", drawn: object, form: Callable[[Any], str]
) -> tuple[str, ...]:
    by_profile = formatting.interval(_ends(profile), form)
    return (name, form(profile.estimate), formatting.interval(drawn, form) or "-", by_profile)


def _ends(profile: "Profile") -> tuple[float, float]:
    """The interval; a positive quantity that may be as small as it likes has no lower end."""
    low, high = profile.interval
    return (-math.inf if low == 0 else low), high
