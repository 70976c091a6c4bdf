"""Loss against model size at each compute budget."""

from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.report import style
from scaling_jax.report.content import ReportData, grid, params_of
from scaling_jax.report.panels import Panel, run_labels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CAPTION = (
    "Each colour is one compute budget and each dot one trained model. At a fixed budget a small "
    "model has too few parameters and a large model sees too few tokens; the best size lies "
    "between, at the bottom of the valley. "
)
FITTED = (
    "The curves are parabolas in log N (approach 2). A diamond marks the minimum of each parabola "
    "and the bar through it the {level} interval of the minimum. With a larger budget the minimum "
    "should move to a larger model. "
)
LOST = "A cross at the top marks a run that diverged or failed and therefore has no loss. "


def isoflop_panel(data: ReportData) -> Panel | None:
    """The IsoFLOP curves (Hoffmann et al. 2022, figure 3); None without a grid of budgets."""
    fit = data.fits.get(2)
    runs = grid(data.records)
    runs = runs[runs["budget"].notna()]
    if runs.empty or (fit is None and runs.groupby("budget").size().max() < 3):
        return None
    lost = _lost(data.records)
    figure, axes = style.panel(4.0)
    colours = _colours(sorted(runs["budget"].unique()))
    minima = {minimum.budget: minimum for minimum in (fit.minima if fit else ())}
    hover: dict[str, tuple[str, ...]] = {}
    for number, (budget, colour) in enumerate(colours.items()):
        rows, gid = runs[runs["budget"] == budget], f"runs-{number}"
        rows = rows.iloc[params_of(rows, fit).argsort()]
        minimum = _nearest(minima, budget)
        _draw_budget(axes, rows, params_of(rows, fit), minimum, colour, gid)
        hover[gid] = run_labels(rows, data.unit)
        if minimum is not None:
            hover[f"{gid}-minimum"] = (minimum_label(minimum),)
    _finish_axes(axes, runs, params_of(runs, fit), params_of(lost, fit))
    axes.set_ylabel(f"loss{data.in_unit}")
    style.legend_below(figure, _legend(colours), columns=3)
    caption = CAPTION + (FITTED.format(level=formatting.level(fit.level)) if fit else "")
    caption += LOST if len(lost) else ""
    return Panel("isoflop", "Loss against model size, budget by budget", caption, figure, hover)


def minimum_label(minimum: Any) -> str:
    """The minimum of one budget: its size with the interval, and its tokens."""
    bounds = formatting.interval(minimum.params_interval)
    size = f"{formatting.count(minimum.params)} parameters" + (f" ({bounds})" if bounds else "")
    return formatting.plain_spaces(
        f"minimum at {formatting.flops(minimum.budget)} FLOPs\n{size}\n"
        f"{formatting.count(minimum.tokens)} tokens"
    )


def _lost(records: "pd.DataFrame") -> "pd.DataFrame":
    bad = records["status"].isin(["diverged", "failed"])
    return records[bad & (records["role"] == "grid")]


def _colours(budgets: list[float]) -> dict[float, Any]:
    return dict(zip(budgets, style.shades(len(budgets)), strict=True))


def _nearest(minima: dict[float, Any], budget: float) -> Any:
    # Budgets read from a file may be rounded; within a part in a thousand they are the same.
    close = [m for b, m in minima.items() if abs(b / budget - 1) < 1e-3]
    return close[0] if close else None


def _draw_budget(
    axes: "Axes", rows: "pd.DataFrame", params: "pd.Series", minimum: Any, colour: Any, gid: str
) -> None:
    import numpy as np

    sizes, losses = params.to_numpy(float), rows["loss"].to_numpy(float)
    axes.plot(sizes, losses, "o", color=colour, markersize=5, linestyle="none", zorder=3, gid=gid)
    if minimum is None:
        axes.plot(sizes, losses, color=colour, linewidth=1, alpha=0.6)
        return
    x = np.linspace(np.log(sizes[0] / 1.1), np.log(sizes[-1] * 1.1), 80)
    c0, c1, c2 = minimum.quadratic
    axes.plot(np.exp(x), c0 + c1 * x + c2 * x**2, color=colour, linewidth=1.4)
    _draw_minimum(axes, minimum, colour, f"{gid}-minimum")


def _draw_minimum(axes: "Axes", minimum: Any, colour: Any, gid: str) -> None:
    if formatting.interval(minimum.params_interval):
        axes.plot(minimum.params_interval, [minimum.loss] * 2, color=style.INK, linewidth=1.6)
    axes.plot(
        minimum.params,
        minimum.loss,
        "D",
        color=colour,
        markersize=8,
        markeredgecolor=style.INK,
        markeredgewidth=1.2,
        zorder=5,
        gid=gid,
    )


def _finish_axes(
    axes: "Axes", runs: "pd.DataFrame", params: "pd.Series", lost: "pd.Series"
) -> None:
    low, high = float(runs["loss"].min()), float(runs["loss"].max())
    room = max(high - low, 0.01)
    axes.set_ylim(low - 0.08 * room, high + 0.15 * room)
    style.log_axis(axes, "x", style.padded([*params, *lost]), "count")
    top = axes.get_xaxis_transform()
    axes.plot(
        lost, [0.97] * len(lost), "x", color=style.WARNING, mew=2, markersize=8, transform=top
    )
    axes.set_xlabel("parameters N")


def _legend(colours: dict[float, Any]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=colour, marker="o", label=f"{formatting.flops(budget)} FLOPs")
        for budget, colour in colours.items()
    ]
