"""A fit and its predictions in words."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.formatting import plain_spaces
from scaling_jax.report import sizes
from scaling_jax.text_table import aligned

if TYPE_CHECKING:
    from scaling_jax.laws import Fit

COUNTS = {
    "total": "N counts every parameter",
    "non_embedding": "N counts parameters without embeddings",
    "active": "N counts the parameters a token passes through",
}


def describe_fit(fit: "Fit") -> str:
    """The law, its exponents, the optimum at the largest budget and ten times it, and doubts."""
    law = f"the {fit.law} law" if fit.approach == 3 else "power laws"
    lines = [
        f"Approach {fit.approach}: {law}, fitted to {fit.n_points} points; "
        f"{COUNTS.get(fit.count, fit.count)}.",
        *_dropped(fit),
        "",
        *_constants(fit),
        *_optima(fit),
        *_sizes(fit),
    ]
    if fit.diagnostics:
        lines += ["", *(f"note: {sentence}" for sentence in fit.diagnostics)]
    return plain_spaces("\n".join(lines))


def describe_optimum(fit: "Fit", optimum: Any) -> str:
    """What to train with a budget, and how far beyond the data that is."""
    lines = [
        f"With {formatting.flops(optimum.flops)} FLOPs "
        f"({_how_far(optimum.extrapolation)}; {COUNTS.get(fit.count, fit.count)}):",
        *_optimum_lines(fit, optimum),
    ]
    return plain_spaces("\n".join(lines))


def describe_prediction(fit: "Fit", prediction: Any) -> str:
    """A loss, with where a measured one and where the law itself should lie."""
    lines = [
        f"loss  {prediction.loss:.4f} nats per token  ({_how_far(prediction.extrapolation)}; "
        f"{COUNTS.get(fit.count, fit.count)})"
    ]
    level = formatting.level(fit.level)
    for bounds, meaning in (
        (prediction.interval, "of a measured run"),
        (prediction.law_interval, "of the law alone"),
    ):
        text = formatting.interval(bounds, formatting.loss)
        if text:
            lines.append(f"      {level} interval {meaning}: {text}")
    return plain_spaces("\n".join(lines))


def _dropped(fit: "Fit") -> list[str]:
    reasons = [f"{n} {reason}" for reason, n in fit.n_dropped.items() if n]
    return [f"Left out: {', '.join(reasons)}."] if reasons else []


def _constants(fit: "Fit") -> list[str]:
    intervals = {**(fit.exponent_intervals or {}), **(fit.intervals or {})}
    values = {**fit.params, **fit.exponents}
    at = f"at {formatting.flops(fit.reference_flops)} FLOPs"
    meaning = {"a": "N_opt grows as C^a", "b": "D_opt grows as C^b"}
    if fit.approach != 3:
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
        bounds = _between(fit, intervals.get(name), _four_digits)
        line = f"  {name.ljust(width)}  {_four_digits(value):>10}  {bounds}"
        lines.append(f"{line}  {meaning.get(name, '')}".rstrip())
    return lines


def _optima(fit: "Fit") -> list[str]:
    """The optimum at the largest fitted budget and beyond; nothing for a law that has none."""
    from scaling_jax.laws.conventions import BEYOND

    largest = fit.flops_range[1]
    if not fit.exponents:
        return []
    return [
        "",
        f"At the largest budget, {formatting.flops(largest)} FLOPs:",
        *_optimum_lines(fit, fit.optimal(largest)),
        f"At {BEYOND:g} times that, {formatting.flops(BEYOND * largest)} FLOPs:",
        *_optimum_lines(fit, fit.optimal(BEYOND * largest)),
    ]


def _sizes(fit: "Fit") -> list[str]:
    """The sizes along the envelope, and where Kaplan's rule would stop each."""
    if not fit.sizes:
        return []
    lines = aligned(sizes.COLUMNS, sizes.size_rows(fit))
    return [
        "",
        "Sizes along the envelope, and where the rule of Kaplan et al. (appendix B) stops each:",
        *(f"  {line}" for line in lines),
    ]


def _optimum_lines(fit: "Fit", optimum: Any) -> list[str]:
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


def _between(fit: "Fit", bounds: object, form: Callable[[Any], str]) -> str:
    text = formatting.interval(bounds, form)
    return f"{formatting.level(fit.level)} interval {text}" if text else ""


def _how_far(extrapolation: float) -> str:
    if extrapolation <= 1:
        return "within the fitted budgets"
    return f"{extrapolation:.3g} times the largest fitted budget"


def _four_digits(value: float) -> str:
    return f"{value:.4g}"


def without_draws(fit: "Fit") -> dict[str, Any]:
    """The fit as plain data, less the bootstrap's thousands of numbers."""
    data = json.loads(fit.to_json())
    return {key: value for key, value in data.items() if key not in ("draws_BxP", "noise_N")}
