"""Fits as JSON and back."""

import dataclasses
import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax.errors import InputError, UncheckedWarning
from scaling_jax.laws.catalogue import LAWS, Law, law_named
from scaling_jax.laws.catalogue.from_file import law_at
from scaling_jax.laws.catalogue.law import Origin
from scaling_jax.laws.conventions import Compute
from scaling_jax.laws.error_surface import ErrorSurface
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.form_error import FormError, Simulated
from scaling_jax.laws.frontier_fit import FrontierFit
from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Minimum, Span, Stop
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.members import Member
from scaling_jax.laws.notes import Note, note_of
from scaling_jax.laws.stored_checks import require_consistent, require_near_draws

FORMAT = 2

# Every stored fit has these, in this order; laws of this package need nothing else.
_KEYS = (
    *("approach", "law", "params", "level", "count", "objective", "n_points", "n_dropped"),
    *("diagnostics", "flops_range", "reference_flops", "provenance", "draws_BxP", "noise_N"),
    *("minima", "frontier_points", "sizes", "compute"),
)
_ABSENT: dict[str, Any] = {"minima": (), "frontier_points": None, "sizes": ()}


def to_json(fit: Fit) -> str:
    """The fit as JSON, which `from_json` reads."""
    data = {key: getattr(fit, key, _ABSENT.get(key)) for key in _KEYS}
    data |= {"format": FORMAT, "exponents": fit.exponents, "intervals": fit.intervals}
    data |= {"exponent_intervals": fit.exponent_intervals, "unit": fit.unit}
    if isinstance(fit, LawFit):
        data |= {"ranges": fit.ranges, "is_logged": fit.is_logged}
        data |= {"form_error": fit.form_error, "members": fit.members}
        if fit.error_surface is not None:
            data["error_surface"] = fit.error_surface
        if LAWS.get(fit.law) is not fit.definition:
            data["origin"] = fit.definition.origin
    return sealed(plain(data))


def from_json(text: str) -> Fit:
    """Read what `to_json` wrote; what an earlier release wrote gives an `UncheckedWarning`.

    Raises:
        InputError: the text is no fit, one of another format, one that was changed, or one whose
            parts contradict one another; the law is a user's function that cannot be found as it
            was.
    """
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or "format" not in data:
            raise TypeError("no object with a format")
        if data["format"] != FORMAT:
            raise InputError(
                f"this fit has format {data['format']}, but this package reads {FORMAT}: "
                "fit the records again"
            )
        common = _common(data)
        if data["approach"] == 3:
            ranges = {name: _ends(ends) for name, ends in data.get("ranges", {}).items()}
            is_logged = bool(data.get("is_logged", True))
            law = _law(data)
            found: Fit = LawFit(
                **common,
                definition=law,
                ranges=ranges,
                is_logged=is_logged,
                form_error=_form_error(data.get("form_error")),
                error_surface=_error_surface(data.get("error_surface")),
                members=tuple(map(_member, data.get("members", ()))),
            )
        else:
            found = FrontierFit(**common, **_findings(data))
        require_consistent(found, data)
        _require_unchanged(found, data)
        return found
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"not a fit written by scaling_jax ({type(error).__name__}: {error}): "
            "make one with `scaling-jax fit RECORDS --out fit.json`"
        ) from error
    except RecursionError as error:
        raise InputError(
            "not a fit written by scaling_jax (nested too deep): make one with "
            "`scaling-jax fit RECORDS --out fit.json`"
        ) from error


def _require_unchanged(fit: Fit, data: Mapping[str, Any]) -> None:
    """Refuse a fit that was edited; a `UncheckedWarning` where that cannot be ruled out."""
    remedy = "fit the records again with `scaling-jax fit RECORDS --out fit.json`"
    if "sha256" in data:
        if data["sha256"] != digest(data):
            raise InputError(
                f"this fit was changed after it was written (its sha256 differs): {remedy}"
            )
        return
    if "compute" in data:
        raise InputError(f"this fit was changed after it was written (it lacks sha256): {remedy}")
    # Fits of the release before have neither.
    require_near_draws(fit)
    warnings.warn(
        "this fit was written by an earlier version without a sha256, so that an edited constant "
        f"can go unnoticed: {remedy}",
        UncheckedWarning,
        stacklevel=4,
    )


def read_fit(path: "os.PathLike[str] | str") -> Fit:
    """The fit in a file.

    Raises:
        InputError: a file that cannot be read, or holds no fit.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"cannot read {path}: {reason}; write one with fit --out") from error
    try:
        return from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def sha256_of(fit: Fit) -> str:
    """The checksum that the file of a fit holds."""
    return str(json.loads(to_json(fit))["sha256"])


def sealed(values: Mapping[str, Any]) -> str:
    """The values as JSON, with their digest as `sha256`."""
    return json.dumps({**values, "sha256": digest(values)}, indent=1)


def digest(values: Mapping[str, Any]) -> str:
    """A digest of everything in a file but the digest itself."""
    rest = {key: value for key, value in values.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _law(data: Mapping[str, Any]) -> Law:
    if "origin" not in data:
        return law_named(data["law"])
    origin = data["origin"]
    if origin is None:
        raise InputError(
            f"the law {data['law']!r} of this fit is not in a file, so that it cannot be read: "
            "write the function to a file and fit with FILE.py:NAME"
        )
    return law_at(Origin(Path(origin["file"]), origin["name"], origin["sha256"]))


def plain(value: Any) -> Any:
    """Arrays, dataclasses and notes as lists and mappings; JSON has no infinity, so a word."""
    if isinstance(value, Note):
        return value.as_data()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    return value.item() if isinstance(value, np.generic) else value


def _common(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that every fit has, from what `plain` made of them."""
    arrays = {
        name: None if data[name] is None else np.array(data[name], np.float64)
        for name in ("draws_BxP", "noise_N")
    }
    as_stored = ("approach", "level", "count", "objective", "n_points", "n_dropped", "provenance")
    return {
        **{name: data[name] for name in as_stored},
        **arrays,
        "params": {name: float(value) for name, value in data["params"].items()},
        "diagnostics": tuple(map(note_of, data["diagnostics"])),
        "flops_range": _ends(data["flops_range"]),
        "reference_flops": float(data["reference_flops"]),
        # Fits of the release before took C = 6 N D.
        "compute": Compute(**data.get("compute", {})),
        "unit": str(data.get("unit", "")),
    }


def _findings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What approaches 1 and 2 fitted their power laws to."""
    points = data["frontier_points"]
    if points is not None:
        points = FrontierPoints(**{k: np.array(v, np.float64) for k, v in points.items()})
    return {
        "minima": tuple(map(_minimum, data["minima"])),
        "sizes": tuple(map(_size, data["sizes"])),
        "frontier_points": points,
    }


def _form_error(entry: Mapping[str, Any] | None) -> FormError | None:
    if entry is None:
        return None
    return FormError(
        loss_rate=float(entry["loss_rate"]),
        params_rate=float(entry["params_rate"]),
        cutoffs=tuple(map(float, entry["cutoffs"])),
        **{name: float(entry[name]) for name in ("freedom", "between", "reach") if name in entry},
        simulated=tuple(map(_simulated, entry.get("simulated", ()))),
    )


def _error_surface(entry: Mapping[str, Any] | None) -> ErrorSurface | None:
    if entry is None:
        return None
    products, ratios = (tuple(map(float, entry[n])) for n in ("log_products", "log_ratios"))
    deviations, noises = (
        tuple(tuple(map(float, row)) for row in entry[name]) for name in ("deviations", "noises")
    )
    return ErrorSurface(products, ratios, deviations, noises)


def _simulated(entry: Mapping[str, Any]) -> Simulated:
    truth, fitted = (tuple(map(float, entry[name])) for name in ("truth", "fitted"))
    return Simulated(truth, fitted, float(entry["share"]))


def _member(entry: Mapping[str, Any]) -> Member:
    changed = {
        "score": float(entry["score"]),
        "constants": tuple(float(value) for value in entry["constants"]),
    }
    return Member(**{**entry, **changed})


def _ends(bounds: Any) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])


def _minimum(entry: Mapping[str, Any]) -> Minimum:
    bounds = entry["params_interval"]
    changed = {
        "quadratic": None if entry["quadratic"] is None else tuple(entry["quadratic"]),
        "params_interval": None if bounds is None else (float(bounds[0]), float(bounds[1])),
    }
    return Minimum(**{**entry, **changed})


def _size(entry: Mapping[str, Any]) -> EnvelopeSize:
    span, stop = entry["span"], entry["stop"]
    return EnvelopeSize(
        params=entry["params"],
        span=None if span is None else Span(**{name: tuple(ends) for name, ends in span.items()}),
        stop=None if stop is None else Stop(**stop),
    )
