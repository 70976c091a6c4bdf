"""A fit and its predictions in words."""

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.formatting import plain_spaces
from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.data_limit import optimum_note, run_note
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.notes import Note, NoteCode, of_severity
from scaling_jax.laws.size_text import COLUMNS, size_rows
from scaling_jax.laws.tables.check import reads_size_and_data
from scaling_jax.text_table import aligned

if TYPE_CHECKING:
    from scaling_jax.laws.allocation import Prediction

COUNTS = {
    "total": "N counts every parameter",
    "non_embedding": "N counts parameters without embeddings",
    "active": "N counts the parameters a token passes through",
}


def describe_fit(fit: Fit) -> str:
    """The law, warnings, exponents, the optimum at the largest budget and ten times it, notes."""
    lines = [
        *_head(fit),
        *(note.line for note in of_severity(fit.diagnostics, "warning")),
        *_dropped(fit),
        "",
        *_constants(fit),
        *_optima(fit),
        *_sizes(fit),
    ]
    others = of_severity(fit.diagnostics, "note")
    if others:
        lines += ["", *(note.line for note in others)]
    return plain_spaces("\n".join(lines))


def describe_optimum(fit: Fit, optimum: Any) -> str:
    """What to train with a budget, and how far beyond the data that is."""
    lines = [
        f"With {formatting.flops(optimum.flops)} FLOPs "
        f"({_how_far(optimum.extrapolation)}; {COUNTS.get(fit.count, fit.count)}):",
        *_optimum_lines(fit, optimum),
    ]
    return plain_spaces("\n".join(lines))


def describe_prediction(fit: Fit, at: Mapping[str, float], prediction: "Prediction") -> str:
    """What a law predicts at the variables `at`: the value and the intervals of run and law."""
    level = formatting.level(fit.level)
    form: Callable[[Any], str] = formatting.constant
    if is_of_size_and_data(fit):
        form = formatting.loss
        unit = f" {fit.unit}" if fit.unit else ""
        lines = [
            f"loss  {prediction.loss:.4f}{unit}  ({_how_far(prediction.extrapolation)}; "
            f"{COUNTS.get(fit.count, fit.count)})"
        ]
    else:
        where = ", ".join(f"{name} {value:g}" for name, value in at.items())
        response = fit.definition.response if isinstance(fit, LawFit) else "loss"
        lines = [f"At {where}: {response} {formatting.constant(prediction.value)}"]
    has_form_error = isinstance(fit, LawFit) and fit.form_error is not None
    of_law = "with" if has_form_error else "without"
    intervals = [
        (prediction.interval, "of a measured run"),
        (prediction.law_interval, f"of the law, {of_law} the error of its form"),
    ]
    if has_form_error:
        resampled = "of a measured run by resampling alone, if the law's form were right"
        intervals.append((prediction.resampling_interval, resampled))
    for bounds, meaning in intervals:
        text = formatting.interval(bounds, form)
        if text:
            lines.append(f"      {level} interval {meaning}: {text}")
    lines += _parts(prediction.parts)
    lines += [note.line for note in prediction_notes(fit, at, prediction)]
    return plain_spaces("\n".join(lines))


# Part of a prediction's interval -> its name, and what makes it smaller.
_PARTS = {
    "runs": ("runs", "the mean of several seeds of the predicted run"),
    "noise": ("noise of the fit", "more seeds or more runs"),
    "form": ("form and rows", "more sizes and more token counts at each budget"),
    "distance": ("distance", "a larger rung"),
}
_LEAST_PART = 1e-6


def _parts(parts: Mapping[str, float]) -> list[str]:
    """The standard deviations behind an interval, and what would make the largest smaller."""
    shown = {name: each for name, each in parts.items() if each >= _LEAST_PART}
    if not shown:
        return []
    made_of = ", ".join(f"{_PARTS[name][0]} {100 * each:.2g} %" for name, each in shown.items())
    largest = max(shown, key=shown.__getitem__)
    total = math.hypot(*shown.values())
    narrower = 1 - math.sqrt(max(total**2 - shown[largest] ** 2, 0.0)) / total
    name, remedy = _PARTS[largest]
    return [
        f"      The interval is made of: {made_of} (standard deviations).",
        f"      What narrows it most: {remedy}; without the part {name} the interval would be "
        f"{100 * narrower:.0f} % narrower.",
    ]


def prediction_notes(
    fit: Fit, at: Mapping[str, float], prediction: "Prediction"
) -> tuple[Note, ...]:
    """A note on each variable that lies outside the data, or on text that is read more than once.

    How far a run lies outside in size and data is shown by its FLOPs.
    """
    if not isinstance(fit, LawFit):
        return ()
    if is_of_size_and_data(fit):
        repeated = run_note(fit, at["tokens"]) if "tokens" in at else None
        return () if repeated is None else (repeated,)
    ends = {name: fit.ranges[name] for name in prediction.outside}
    return tuple(
        Note(NoteCode.OUTSIDE_RANGE, f"{name} lies outside the fitted {low:.3g} to {high:.3g}.")
        for name, (low, high) in ends.items()
    )


def is_of_size_and_data(fit: Fit) -> bool:
    """Whether the fit is of the loss in params and tokens, which most of the text is about."""
    return not isinstance(fit, LawFit) or reads_size_and_data(fit.definition)


def _head(fit: Fit) -> list[str]:
    if isinstance(fit, LawFit) and not is_of_size_and_data(fit):
        law = fit.definition
        texts = [f"  {text}" for text in (law.formula, law.source) if text]
        return [f"Law {law.name}, fitted to {fit.n_points} rows.", *texts]
    law_text = f"the {fit.law} law" if isinstance(fit, LawFit) else "power laws"
    return [
        f"Approach {fit.approach}: {law_text}, fitted to {fit.n_points} points; "
        f"{COUNTS.get(fit.count, fit.count)}."
    ]


def _dropped(fit: Fit) -> list[str]:
    reasons = [f"{n} {reason}" for reason, n in fit.n_dropped.items() if n]
    return [f"Left out: {', '.join(reasons)}."] if reasons else []


def _constants(fit: Fit) -> list[str]:
    intervals = {**(fit.exponent_intervals or {}), **(fit.intervals or {})}
    values = {**fit.params, **fit.exponents}
    at = f"at {formatting.flops(fit.reference_flops)} FLOPs"
    meaning = {"a": "N_opt grows as C^a", "b": "D_opt grows as C^b"}
    if not isinstance(fit, LawFit):
        meaning |= {
            "N_ref": f"N_opt {at}",
            "D_ref": f"D_opt {at}",
            "E": "L_opt as C grows without end",
            "K_ref": f"L_opt - E {at}",
            "gamma": "L_opt - E falls as C^-gamma",
        }
    width = max(map(len, values))
    lines = []
    for name, value in values.items():
        bounds = _between(fit, intervals.get(name), formatting.constant)
        line = f"  {name.ljust(width)}  {formatting.constant(value):>10}  {bounds}"
        lines.append(f"{line}  {meaning.get(name, '')}".rstrip())
    return lines


def _optima(fit: Fit) -> list[str]:
    """The optimum at the largest fitted budget and beyond; nothing for a law that has none."""

    largest = fit.flops_range[1]
    if not fit.exponents:
        return []
    at_largest, beyond = fit.optimal(largest), fit.optimal(BEYOND * largest)
    notes = [optimum_note(fit, each.flops, each.tokens) for each in (at_largest, beyond)]
    return [
        "",
        f"At the largest budget, {formatting.flops(largest)} FLOPs:",
        *_optimum_lines(fit, at_largest),
        f"At {BEYOND:g} times that, {formatting.flops(BEYOND * largest)} FLOPs:",
        *_optimum_lines(fit, beyond),
        *(f"  {note.line}" for note in notes if note and note not in fit.diagnostics),
    ]


def _sizes(fit: Fit) -> list[str]:
    """The sizes along the envelope, and where Kaplan's rule would stop each."""
    if not fit.sizes:
        return []
    lines = aligned(COLUMNS, size_rows(fit))
    return [
        "",
        "Sizes along the envelope, and where the rule of Kaplan et al. (appendix B) stops each:",
        *(f"  {line}" for line in lines),
    ]


def _optimum_lines(fit: Fit, optimum: Any) -> list[str]:
    rows: list[tuple[str, object, object, Callable[[Any], str]]] = [
        ("params N", optimum.params, optimum.params_interval, formatting.count),
        ("tokens D", optimum.tokens, optimum.tokens_interval, formatting.count),
        ("D/N", optimum.tokens / optimum.params, None, formatting.significant),
    ]
    if optimum.loss is not None:
        rows.append(("loss", optimum.loss, optimum.loss_interval, formatting.loss))
    return [
        f"  {name:<8}  {form(value):>10}  {_between(fit, bounds, form)}".rstrip()
        for name, value, bounds, form in rows
    ]


def _between(fit: Fit, bounds: object, form: Callable[[Any], str]) -> str:
    text = formatting.interval(bounds, form)
    return f"{formatting.level(fit.level)} interval {text}" if text else ""


def _how_far(extrapolation: float) -> str:
    if extrapolation <= 1:
        return "within the fitted budgets"
    return f"{extrapolation:.3g} times the largest fitted budget"


def summary_of(fit: Fit) -> dict[str, Any]:
    """The fit as plain data, without the bootstrap's thousands of numbers."""
    left_out = ["draws_BxP", "noise_N"]
    if is_of_size_and_data(fit):
        left_out += ["ranges", "is_logged"]
    data = json.loads(fit.to_json())
    found = {key: value for key, value in data.items() if key not in left_out}
    if isinstance(fit, LawFit) and not is_of_size_and_data(fit):
        found |= {"formula": fit.definition.formula, "response": fit.definition.response}
    return found
