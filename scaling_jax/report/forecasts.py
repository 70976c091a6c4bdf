"""Measured against forecast losses, in one figure."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError
from scaling_jax.report import style, svg
from scaling_jax.report.panels import Panel
from scaling_jax.system.outputs import replacing

if TYPE_CHECKING:
    from scaling_jax.laws import Score

CAPTION = (
    "Each dot is a run that was forecast before it was trained; the bar is the interval of the "
    "forecast. A dot on the grey line was predicted exactly; below it, the run was worse than "
    "predicted, above it, better. "
)


def forecast_panel(scores: "Iterable[Score]") -> Panel | None:
    """Measured against forecast values with intervals; None while nothing is measured."""
    measured = [(score, run) for score in scores for run in score.runs]
    if not measured:
        return None
    figure, axes = style.panel(4.0)
    ends = [bound for _, run in measured for bound in (*run.interval, run.measured)]
    room = 0.06 * (max(ends) - min(ends) or 0.01)
    limits = min(ends) - room, max(ends) + room
    axes.plot(limits, limits, color=style.MUTED, linewidth=1, zorder=1)
    for inside, colour, label in (
        (True, style.APPROACH_COLOURS[1], "inside the interval"),
        (False, style.ACCENT, "outside"),
    ):
        runs = [run for _, run in measured if run.inside_interval == inside]
        if not runs:
            continue
        low, high = zip(*(run.interval for run in runs), strict=True)
        predicted = [run.predicted for run in runs]
        axes.errorbar(
            [run.measured for run in runs],
            predicted,
            yerr=[
                [p - end for p, end in zip(predicted, low, strict=True)],
                [end - p for p, end in zip(predicted, high, strict=True)],
            ],
            fmt="o",
            color=colour,
            capsize=4,
            label=label,
        )
    axes.set(xlim=limits, ylim=limits)
    first = measured[0][0]
    unit = f" ({first.unit})" if first.unit else ""
    axes.set_xlabel(f"measured {first.response}{unit}")
    axes.set_ylabel(f"forecast {first.response}")
    style.legend_below(figure, axes.get_legend_handles_labels()[0], columns=2)
    return Panel("forecasts", "Forecast against measured loss", CAPTION, figure)


def draw_score(score: "Score", path: Path) -> None:
    """Draw measured against forecast values to `path`, in the format of its ending.

    Raises:
        InputError: no run is measured yet, or the file cannot be written.
    """
    with style.figure_style():
        panel = forecast_panel([score])
        if panel is None:
            raise InputError("no run of this forecast is measured yet, so there is nothing to draw")
        with replacing(path) as temporary:
            svg.save_alone(panel.figure, temporary, path.suffix)
