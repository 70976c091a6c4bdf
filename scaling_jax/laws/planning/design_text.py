"""What a design is expected to find out, in sentences and as plain data."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from scaling_jax import formatting
from scaling_jax.laws.planning.additions import Proposal
from scaling_jax.laws.planning.design_score import DesignScore, Doubt
from scaling_jax.text_table import Table

# An answer whose interval has a wider half-width, in logs, is not identified by the design.
_UNKNOWN = math.log(1000)


def score_sentences(score: DesignScore) -> list[str]:
    """The expected interval of the answer, and what it assumes."""
    loss, params = (score.doubts[name] for name in ("loss", "params"))
    beyond = f"{formatting.significant(score.extrapolation)} times the largest budget"
    lines = (
        f"Expected {formatting.level(score.level)} interval at "
        f"{formatting.flops(score.target.flops)} FLOPs, {beyond}: "
        f"the loss {_parts(loss, within_percent)}; N_opt {_parts(params, within_factor)}.",
        f"It assumes losses by {score.law.form.formula} ({score.law.source}) with a noise of "
        f"{100 * score.noise:.2g} % a run; form is what a fit of that law misses where losses "
        "follow another one, as far as the noise hides it.",
    )
    return [formatting.plain_spaces(line) for line in lines]


def proposals_table(before: DesignScore, proposals: Sequence[Proposal], flops: float) -> Table:
    """One row per addition: its cost, as a share of the design's `flops` too, and the interval.

    The first row is the design as it is.
    """
    has_price = any(proposal.price is not None for proposal in proposals)
    columns = ("with", "runs", "FLOPs", "of the plan", *(("price",) if has_price else ()))
    rows = [("the design as it is", *("" for _ in columns[1:]), *_widths(before))]
    for each in proposals:
        cost = (
            f"{each.n_runs}",
            formatting.flops(each.flops),
            f"{formatting.significant(100 * each.flops / flops, 2)} %",
        )
        price = (formatting.money(each.price),) if each.price is not None else ()
        rows.append((each.name, *cost, *price, *_widths(each.score)))
    return Table((*columns, "loss", "N_opt"), rows, columns[:1])


def proposals_data(proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
    """Additions as plain data, with half-widths of the answers with each of them."""
    return [
        {
            "name": each.name,
            "runs": each.n_runs,
            "flops": each.flops,
            "price": each.price,
            "half_widths": _half_widths(each.score),
            "gain_per_flop": each.gain,
        }
        for each in proposals
    ]


def score_data(score: DesignScore) -> dict[str, Any]:
    """A score as plain data, with half-widths of the answers and the codes of its warnings."""
    return {
        "law": {
            "form": score.law.form.name,
            "constants": dict(score.law.constants),
            "source": score.law.source,
        },
        "noise": score.noise,
        "level": score.level,
        "target": dataclasses.asdict(score.target),
        "extrapolation": score.extrapolation,
        "half_widths": _half_widths(score),
        "condition": score.condition,
        "span": score.span,
        "leverage": score.leverage,
        "floor": None if score.floor is None else dataclasses.asdict(score.floor),
        "warnings": [dataclasses.asdict(warning) for warning in score.warnings],
    }


def within_percent(half_width: float) -> str:
    """A half-width of a log loss: "± 0.45 %"."""
    if not half_width < _UNKNOWN:
        return "unknown"
    return f"± {100 * math.expm1(half_width):.2g} %"


def within_factor(half_width: float) -> str:
    """A half-width of the logarithm of a size: "x 1.08"."""
    return f"x {math.exp(half_width):.2f}" if half_width < _UNKNOWN else "unknown"


def _half_widths(score: DesignScore) -> dict[str, dict[str, float]]:
    return {
        name: {"noise": doubt.noise, "form": doubt.form, "total": doubt.total}
        for name, doubt in score.doubts.items()
    }


def _widths(score: DesignScore) -> tuple[str, str]:
    loss, params = (score.doubts[name].total for name in ("loss", "params"))
    return within_percent(loss), within_factor(params)


def _parts(doubt: Doubt, text: Callable[[float], str]) -> str:
    return f"{text(doubt.total)} (noise {text(doubt.noise)}, form {text(doubt.form)})"
