"""Checks of a fit that was read from a file: its parts must belong together."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import COUNTS
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.frontier_fit import FrontierFit
from scaling_jax.laws.law_fit import LawFit

_REMEDY = "fit the records again with `scaling-jax fit RECORDS --out fit.json`"
_FRONTIER = (("N_ref", "D_ref", "a", "b"), ("N_ref", "D_ref", "a", "b", "E", "K_ref", "gamma"))
# Intervals are computed from the draws, by the same code, so they agree to rounding.
_ROUNDING = 1e-6


def require_consistent(fit: Fit, data: Mapping[str, Any]) -> None:
    """Refuse a fit whose constants, draws, law and intervals do not belong together.

    Args:
        fit: as it was read.
        data: the file, with the exponents and intervals that were computed when it was written.

    Raises:
        InputError: names the field, what it holds and what it should.
    """
    _require_options(fit)
    _require_constants(fit)
    _require_draws(fit)
    _require_same(fit.exponents, data["exponents"], "exponents")
    _require_same(fit.intervals, _of_some_width(fit.intervals, data["intervals"]), "intervals")
    _require_same(fit.exponent_intervals, data["exponent_intervals"], "exponent_intervals")


def require_near_draws(fit: Fit) -> None:
    """Refuse a constant that lies further from all its bootstrap draws than they spread.

    Raises:
        InputError: names the constant and the range of its draws.
    """
    if fit.draws_BxP is None:
        return
    for (name, value), draws_B in zip(fit.params.items(), fit.draws_BxP.T, strict=True):
        known_B = draws_B[np.isfinite(draws_B)]
        if not len(known_B):
            continue
        low, high = float(known_B.min()), float(known_B.max())
        # Constants that are positive spread over factors.
        scale = np.log if min(low, value) > 0 else np.asarray
        at, ends = scale(value), (scale(low), scale(high))
        spread = ends[1] - ends[0] + _ROUNDING * (1 + abs(at))
        if not ends[0] - spread <= at <= ends[1] + spread:
            raise _refused(
                f"the constant {name} is {value:.6g}, but its draws lie between {low:.6g} and "
                f"{high:.6g}"
            )


def _require_options(fit: Fit) -> None:
    if fit.approach not in (1, 2, 3):
        raise _refused(f"approach {fit.approach!r} is none of 1, 2 and 3")
    if not isinstance(fit.level, float) or not 0 < fit.level < 1:
        raise _refused(f"level {fit.level!r} does not lie between 0 and 1")
    if fit.count not in COUNTS:
        raise _refused(f"count {fit.count!r} is none of {', '.join(COUNTS)}")
    low, high = fit.flops_range
    if not (low <= high or math.isnan(low) or math.isnan(high)):
        raise _refused(f"flops_range {low:g} to {high:g} does not rise")


def _require_constants(fit: Fit) -> None:
    names = tuple(fit.params)
    if isinstance(fit, LawFit):
        law = fit.definition
        if names != law.names:
            raise _refused(
                f"the law {law.name!r} has the constants {', '.join(law.names)}, not "
                f"{', '.join(names) or 'none'}"
            )
        positive: Sequence[str] = law.positive
    else:
        if names not in _FRONTIER:
            raise _refused(f"power laws have no constants {', '.join(names) or 'none'}")
        positive = ("N_ref", "D_ref")
    for name, value in fit.params.items():
        if not math.isfinite(value) or (name in positive and value < 0):
            raise _refused(f"the constant {name} is {value:g}")


def _require_draws(fit: Fit) -> None:
    if fit.noise_N is not None and (fit.noise_N.ndim != 1 or not np.isfinite(fit.noise_N).all()):
        raise _refused("noise_N is no list of finite numbers")
    if fit.draws_BxP is None:
        return
    shape = fit.draws_BxP.shape
    if len(shape) != 2 or shape[1] != len(fit.params) or not shape[0]:
        raise _refused(
            f"draws_BxP has the shape {shape}, but there are {len(fit.params)} constants "
            f"({', '.join(fit.params)})"
        )
    # An envelope or a constant that the data do not bound leaves infinite or unknown draws.
    if isinstance(fit, FrontierFit):
        return
    if np.isnan(fit.draws_BxP).any():
        row = int(np.isnan(fit.draws_BxP).any(axis=1).argmax())
        raise _refused(f"draw {row} of draws_BxP is not a number")


def _require_same(computed: object, stored: object, name: str) -> None:
    """Refuse what the file says beside the constants and draws, where it follows from neither."""
    one, other = _numbers(computed), _numbers(stored)
    if list(one) == list(other) and np.allclose(
        list(one.values()), list(other.values()), rtol=_ROUNDING, atol=0, equal_nan=True
    ):
        return
    wrong = next(
        (
            key
            for key in [*one, *other]
            if not np.isclose(
                one.get(key, math.inf), other.get(key, math.inf), rtol=_ROUNDING, equal_nan=True
            )
        ),
        "",
    )
    raise _refused(
        f"{name} {wrong} {other.get(wrong, 'missing')} do not follow from its constants and draws"
    )


def _of_some_width(computed: object, stored: object) -> object:
    """The stored intervals, without those from a value to itself that are no longer given."""
    if not isinstance(computed, Mapping) or not isinstance(stored, Mapping):
        return stored
    return {n: e for n, e in stored.items() if n in computed or float(e[0]) != float(e[1])}


def _numbers(values: object, name: str = "") -> dict[str, float]:
    """Every number in a mapping of numbers or pairs, by its name."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        parts = values.items()
    elif isinstance(values, list | tuple):
        parts = dict(zip(("low", "high"), values, strict=True)).items()
    else:
        return {name: float(values)}  # type: ignore[arg-type]
    found: dict[str, float] = {}
    for key, value in parts:
        found |= _numbers(value, f"{name} {key}".strip())
    return found


def _refused(what: str) -> InputError:
    return InputError(f"this fit contradicts itself: {what}; {_REMEDY}")
