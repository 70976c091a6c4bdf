"""The head of the page: one sentence with the optimum, and a few large numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.laws.comparison import disagreements
from scaling_jax.laws.data_limit import optimum_note
from scaling_jax.laws.notes import NoteCode, of_severity
from scaling_jax.report.content import ReportData, Verification

if TYPE_CHECKING:
    from scaling_jax.laws import Fit

NO_FIT = "No law was fitted: there are too few finished runs to find the compute-optimal model."
NO_FIT_YET = "No law is fitted yet; the notes on the fits below give the reason."


@dataclass(frozen=True)
class Number:
    """A large number with its label and its uncertainty."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Summary:
    """The sentence with the optimum, warnings, and the numbers of the optimum and of the test."""

    sentence: str
    warnings: tuple[str, ...]
    optimum: tuple[Number, ...]
    verdict: str
    verification: tuple[Number, ...]


def summarize(data: ReportData) -> Summary:
    """The optimum at the target budget by the main fit, and the outcome of the verification."""
    check = data.verification
    verdict = _verdict(check) if check else ""
    checked = _verification_numbers(check) if check else ()
    if data.main_fit is None:
        return Summary(NO_FIT_YET if data.under_way else NO_FIT, (), (), verdict, checked)
    optimum = data.main_fit.optimal(data.target_flops)
    apart = disagreements(data.fits, data.target_flops)
    found = [*apart, *of_severity(data.main_fit.diagnostics, "warning")]
    limit = optimum_note(data.main_fit, data.target_flops, optimum.tokens)
    if limit is not None:
        # Instead of the same sentence on a smaller budget.
        found = [each for each in found if each.code != NoteCode.DATA_LIMIT] + [limit]
    warnings = tuple(map(formatting.one_style, found))
    numbers = _optimum_numbers(data.main_fit, optimum)
    return Summary(_sentence(data, optimum), warnings, numbers, verdict, checked)


def ratio_interval(optimum: Any) -> tuple[float, float] | None:
    """Interval of tokens per parameter at fixed compute, where few parameters mean many tokens."""
    params, tokens = optimum.params_interval, optimum.tokens_interval
    if params is None or tokens is None or not all(map(formatting.known, (*params, *tokens))):
        return None
    return tokens[0] / params[1], tokens[1] / params[0]


def _sentence(data: ReportData, optimum: Any) -> str:
    budget = formatting.flops(data.target_flops)
    text = (
        f"With {budget} FLOPs, train a model of {formatting.count(optimum.params)} parameters on "
        f"{formatting.count(optimum.tokens)} tokens, "
        f"{formatting.significant(optimum.tokens / optimum.params)} tokens per parameter"
    )
    if not formatting.known(optimum.loss):
        return text + "."
    loss = " ".join([formatting.loss(optimum.loss, 3), *([data.unit] if data.unit else [])])
    return f"{text}: the model should reach a loss of {loss}."


def _optimum_numbers(fit: "Fit", optimum: Any) -> tuple[Number, ...]:
    level = formatting.level(fit.level)
    rows: list[tuple[str, object, Any, Any]] = [
        ("parameters", optimum.params, optimum.params_interval, formatting.count),
        ("tokens", optimum.tokens, optimum.tokens_interval, formatting.count),
        (
            "tokens per parameter",
            optimum.tokens / optimum.params,
            ratio_interval(optimum),
            formatting.significant,
        ),
    ]
    if formatting.known(optimum.loss):
        label = f"loss, {fit.unit}" if fit.unit else "loss"
        rows.append((label, optimum.loss, optimum.loss_interval, formatting.loss))
    return tuple(Number(n, f(v), _note(level, formatting.interval(i, f))) for n, v, i, f in rows)


def _note(level: str, interval: str) -> str:
    return f"{level} interval {interval}" if interval else "no interval"


def _verdict(check: Verification) -> str:
    where = "inside" if check.inside_interval else "outside"
    return (
        f"A model of {formatting.count(check.params)} parameters was then trained on "
        f"{formatting.count(check.tokens)} tokens ({formatting.flops(check.flops)} FLOPs) to test "
        f"the prediction. The measured loss lies {where} the {formatting.level(check.level)} "
        "interval of the prediction."
    )


def _verification_numbers(check: Verification) -> tuple[Number, ...]:
    inside = "inside the interval" if check.inside_interval else "outside the interval"
    stderr = check.measured_stderr
    spread = f"± {formatting.loss(stderr)} standard error" if formatting.known(stderr) else ""
    bounds = formatting.interval(check.interval, formatting.loss)
    return (
        Number(
            "predicted loss",
            formatting.loss(check.predicted),
            _note(formatting.level(check.level), bounds),
        ),
        Number("measured loss", formatting.loss(check.measured), spread),
        Number("difference", formatting.percent(check.error_percent), inside),
    )
