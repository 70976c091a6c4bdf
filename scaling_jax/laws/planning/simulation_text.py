"""What a simulation found, as a table and as sentences."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.planning.known import KnownLaw
from scaling_jax.laws.planning.simulate import Simulation
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    *("quantity", "truth", "estimates", "interval's width", "holds the truth"),
    "error of the form",
)
_RATIOS = ("params", "tokens")
_OFF = ("params", "loss")
_FORMATS: dict[str, Callable[[Any], str]] = {
    "params": formatting.count,
    "tokens": formatting.count,
    "loss": formatting.loss,
    "measured": formatting.loss,
}
_MEANING = {
    "a": "a, N_opt grows as C^a",
    "b": "b, D_opt grows as C^b",
    "params": "N_opt",
    "tokens": "D_opt",
    "loss": "loss of the law",
    "measured": "loss of a run",
}


def simulation_head(law: KnownLaw, simulation: Simulation) -> str:
    """What was simulated, how often, and by which law."""
    constants = ", ".join(f"{n} {formatting.constant(v)}" for n, v in law.constants.items())
    return (
        f"{formatting.flops(simulation.training_flops)} FLOPs; "
        f"simulated {len(simulation.studies)} times.\n"
        f"Law: {law.form.formula} with {constants} ({law.source})"
    )


def simulation_data(law: KnownLaw, simulation: Simulation) -> dict[str, Any]:
    """The law and what the simulation found as plain data."""
    return {
        "law": {"form": law.form.name, "constants": dict(law.constants), "count": law.count},
        "flops": simulation.flops,
        "level": simulation.level,
        "studies": len(simulation.studies),
        "refused": dict(simulation.refused),
        "training_flops": simulation.training_flops,
        "quantities": simulation.summary().to_dict(orient="index"),
        "sentences": simulation_sentences(simulation),
        "diagnostics": [note.as_data() for note in simulation_notes(simulation)],
    }


def simulation_table(simulation: Simulation) -> Table:
    """One row per quantity: its true value, the studies' estimates, and their intervals."""
    rows = [_cells(str(name), row) for name, row in simulation.summary().iterrows()]
    return Table(_COLUMNS, rows, _COLUMNS[:1])


def simulation_sentences(simulation: Simulation) -> list[str]:
    """What a study of this design would find out, in sentences."""
    summary, level = simulation.summary(), simulation.level
    at = f"{formatting.flops(simulation.flops)} FLOPs"
    error = summary["error"]
    lines = [
        f"In {_share(level)} such studies the optimum at {at} would be known within a factor of "
        f"{math.exp(error['params']):.2f} in params and {math.exp(error['tokens']):.2f} in tokens,",
        f"and the exponent of N_opt within {error['a']:.3f} of its true {summary.truth['a']:.3f}.",
    ]
    if "loss" in summary.index:
        unit = f" {simulation.unit}" if simulation.unit else ""
        lines.append(
            f"The law's loss there would be known within {error['loss']:.4f}{unit}, "
            f"a measured one predicted within {error['measured']:.4f}."
        )
    held = 100 * summary["coverage"].drop("measured", errors="ignore")
    shares = dict.fromkeys(f"{share:.0f}" for share in (held.min(), held.max()))
    lines.append(
        f"Their {formatting.level(level)} intervals would hold the truth in "
        f"{' to '.join(shares)} % of studies."
    )
    if simulation.form:
        off = ", ".join(f"{_MEANING[name]} {_error(name, simulation.form[name])}" for name in _OFF)
        lines.append(
            "Losses of another form, hidden by the noise, would move the answers besides, by up "
            f"to: {off}."
        )
    return [formatting.plain_spaces(line) for line in lines]


def simulation_notes(simulation: Simulation) -> tuple[Note, ...]:
    """A warning for each reason for which simulated studies could not be fitted."""
    total = len(simulation.studies) + sum(simulation.refused.values())
    return tuple(
        Note(
            NoteCode.STUDIES_REFUSED,
            f"{count} of {total} studies could not be fitted: {reason}",
        )
        for reason, count in simulation.refused.items()
    )


def _share(level: float) -> str:
    tenths = 10 * level
    return f"{tenths:.0f} of 10" if math.isclose(tenths, round(tenths)) else f"{100 * level:g} % of"


def _cells(name: str, row: "pd.Series[float]") -> tuple[str, ...]:
    form = _FORMATS.get(name, "{:.3f}".format)
    return (
        _MEANING[name],
        form(row.truth) if math.isfinite(row.truth) else "-",
        formatting.interval((row.low, row.high), form),
        f"x {math.exp(row.width):.2f}" if name in _RATIOS else form(row.width),
        f"{100 * row.coverage:.0f} %",
        "-" if math.isnan(row.form) else _error(name, row.form),
    )


def _error(name: str, error: float) -> str:
    """A half-width: a factor for sizes and tokens, else a difference."""
    if name in _RATIOS:
        return f"x {math.exp(error):.2f}"
    return f"± {_FORMATS.get(name, '{:.3f}'.format)(error)}"
