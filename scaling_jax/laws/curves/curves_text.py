"""Ends predicted by a law of schedules, as text and plain data."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scaling_jax import formatting
from scaling_jax.laws.curves.schedule_ends import CurveEnd
from scaling_jax.laws.curves.schedule_forms import FORMS
from scaling_jax.laws.curves.schedule_law import ScheduleLaw
from scaling_jax.text_table import Table

_COLUMNS = ("run", "done", "ends at", "interval")


def law_sentences(law: ScheduleLaw, n_curves: int) -> str:
    """The constants of a law of schedules, what it misses, and what the curves do not determine."""
    constants = ", ".join(f"{name} {value:.4g}" for name, value in law.constants.items())
    text = (
        f"Law of schedules {law.name} of {FORMS[law.name].paper}, fitted to {n_curves} curves: "
        f"{constants}. It misses single points by {law.rms:.2%} (root mean square)."
    )
    if law.unidentified:
        text += (
            f" The curves do not determine {', '.join(law.unidentified)}: read predictions, not "
            "these constants."
        )
    return text


def ends_blocks(ends: Sequence[CurveEnd], law: ScheduleLaw) -> list[str | Table]:
    """The law, how it predicts each finished curve from the others, and the ends of the runs."""
    first = ends[0]
    errors = (f"{name} {e:+.2%}" for name, e in zip(first.curves, first.left_out, strict=True))
    rows = [
        (
            end.name,
            f"{end.progress:.0%}",
            formatting.loss(end.loss),
            formatting.interval(end.interval, formatting.loss),
        )
        for end in ends
    ]
    return [
        law_sentences(law, len(first.curves)),
        f"Errors of the end of each curve, predicted from the others: {', '.join(errors)}.",
        f"Expected ends with {formatting.level(first.level)} intervals:",
        Table(_COLUMNS, rows, _COLUMNS[:1]),
    ]


def ends_data(ends: Sequence[CurveEnd], law: ScheduleLaw) -> dict[str, Any]:
    """The law and the ends as plain data."""
    return {"law": asdict(law), "ends": [asdict(end) for end in ends]}
