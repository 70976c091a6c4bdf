"""The compute-optimal model size and token count against compute."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from scaling_jax import formatting
from scaling_jax.report import style
from scaling_jax.report.content import ReportData, grid
from scaling_jax.report.isoflop import minimum_label
from scaling_jax.report.panels import Panel
from scaling_jax.report.papers import paper_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from scaling_jax.laws import Fit

Quantity = Literal["params", "tokens"]
SYMBOL = {"params": "N", "tokens": "D"}
TITLE = {
    "params": "How large the model should be",
    "tokens": "How many tokens the model should be trained on",
}
CAPTION = (
    "The optimal model size at each compute budget, by each approach, with its {level} interval as "
    "a band. A line is solid over the trained budgets and dashed where the law is extrapolated "
    "(shaded background). The vertical line marks the target budget. "
)
MINIMA = "Dots are the minima of the IsoFLOP parabolas. "
PAPERS = (
    "The same lines, and as thin lines published results for other data and tokenizers: Hoffmann "
    "et al. (IsoFLOP budgets from 6e18 to 3e21 FLOPs) and Kaplan et al. (who do not count "
    "embeddings). "
)
FAR = (
    "The budgets here are about {decades} smaller, so the published lines are "
    "extrapolated here: compare slopes, not heights."
)
SAME = "The optimal number of tokens, drawn in the same way, with {level} intervals."
BESIDE = "Beside published results"
_MINIMA = "minima"
HOFFMANN_SMALLEST = 6e18
GRID_POINTS = 33


def frontier_panels(data: ReportData) -> tuple[Panel, ...]:
    """N_opt(C) and D_opt(C) of every fit, on demand beside published lines; empty without fits."""
    runs = grid(data.records)
    if not data.fits or runs.empty:
        return ()
    measured = float(runs["flops"].min()), float(runs["flops"].max())
    wanted = [*measured, data.target_flops]
    if data.verification is not None:
        wanted.append(data.verification.flops)
    limits = style.padded(wanted, 1.6)
    optima = {key: _optima(fit, limits, measured[1]) for key, fit in sorted(data.fits.items())}
    drawing = (data, optima, limits, measured)
    return tuple(
        replace(_panel(q, *drawing), on_demand=_panel(q, *drawing, papers=True))
        for q in ("params", "tokens")
    )


def _far(last: float) -> str:
    decades = round(math.log10(HOFFMANN_SMALLEST / last))
    orders = f"{decades} orders of magnitude" if decades > 1 else "one order of magnitude"
    return FAR.format(decades=orders) if decades >= 1 else ""


def _optima(fit: "Fit", limits: style.Limits, last: float) -> "list[tuple[float, Any]]":
    import numpy as np

    flops = np.unique([*np.geomspace(*limits, GRID_POINTS), last])
    return [(float(c), fit.optimal(float(c))) for c in flops]


def _panel(
    quantity: Quantity,
    data: ReportData,
    optima: "dict[int, list[tuple[float, Any]]]",
    limits: style.Limits,
    measured: style.Limits,
    *,
    papers: bool = False,
) -> Panel:
    figure, axes = style.panel(4.4)
    for approach, points in optima.items():
        _draw_fit(axes, approach, points, quantity, measured[1])
    hover = {}
    if 2 in data.fits:
        _draw_minima(axes, data.fits[2], quantity)
        hover[_MINIMA] = tuple(map(minimum_label, data.fits[2].minima))
    if papers:
        flops = [c for c, _ in next(iter(optima.values()))]
        _draw_papers(axes, flops, quantity)
    _finish_axes(axes, data, quantity, limits, measured)
    style.legend_below(figure, _legend(list(optima), papers), columns=2 if papers else 3)
    name = f"frontier-{quantity}"
    if papers:
        caption = PAPERS + _far(measured[1])
        return Panel(f"{name}-papers", BESIDE, caption, figure, hover)
    level = formatting.level(next(iter(data.fits.values())).level)
    return Panel(name, TITLE[quantity], _caption(data, quantity, level), figure, hover)


def _caption(data: ReportData, quantity: Quantity, level: str) -> str:
    if quantity == "tokens":
        return SAME.format(level=level)
    return CAPTION.format(level=level) + (MINIMA if 2 in data.fits else "")


def _draw_fit(
    axes: "Axes",
    approach: int,
    points: "Sequence[tuple[float, Any]]",
    quantity: Quantity,
    last: float,
) -> None:
    import numpy as np

    colour = style.APPROACH_COLOURS.get(approach, style.INK)
    flops = np.array([c for c, _ in points])
    values = np.array([getattr(optimum, quantity) for _, optimum in points], dtype=float)
    bounds = [getattr(optimum, f"{quantity}_interval") for _, optimum in points]
    if all(b is not None for b in bounds):
        low, high = np.array(bounds, dtype=float).T
        axes.fill_between(flops, low, high, color=colour, alpha=0.15, linewidth=0)
    inside = flops <= last
    axes.plot(flops[inside], values[inside], color=colour, linewidth=2.2, zorder=4)
    beyond = flops >= last
    axes.plot(flops[beyond], values[beyond], "--", color=colour, linewidth=2.2, zorder=4)


def _draw_minima(axes: "Axes", fit: "Fit", quantity: Quantity) -> None:
    budgets = [minimum.budget for minimum in fit.minima]
    values = [getattr(minimum, quantity) for minimum in fit.minima]
    colour = style.APPROACH_COLOURS[2]
    look: dict[str, Any] = dict(
        color=colour, markersize=6, markeredgecolor="white", zorder=5, gid=_MINIMA
    )
    axes.plot(budgets, values, "o", **look)


def _draw_papers(axes: "Axes", flops: "Sequence[float]", quantity: Quantity) -> None:
    import numpy as np

    x = np.array(flops)
    for line in paper_lines():
        values = line.params(x) if quantity == "params" else line.tokens(x)
        axes.plot(x, values, **_paper_style(line.approach))


def _paper_style(approach: int | None) -> dict[str, Any]:
    if approach is None:
        return {"color": style.MUTED, "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.3}
    return {
        "color": style.APPROACH_COLOURS[approach],
        "linestyle": (0, (1, 1.6)),
        "linewidth": 1.3,
    }


def _finish_axes(
    axes: "Axes",
    data: ReportData,
    quantity: Quantity,
    limits: style.Limits,
    measured: style.Limits,
) -> None:
    import numpy as np

    drawn: list[np.ndarray] = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]
    low, high = style.padded(np.concatenate(drawn), 1.6)
    axes.axvspan(measured[1], limits[1], color=style.SHADE, zorder=0, linewidth=0)
    axes.axvline(data.target_flops, color=style.MUTED, linewidth=1, zorder=1)
    style.log_axis(axes, "x", limits, "flops")
    style.log_axis(axes, "y", (low, high), "count")
    axes.set_xlabel("training compute C (FLOPs)")
    axes.set_ylabel(
        f"optimal {'parameters' if quantity == 'params' else 'tokens'} {SYMBOL[quantity]}"
    )


def _legend(approaches: list[int], papers: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    here = ", here" if papers else ""
    ours = [
        Line2D([], [], color=colour, linewidth=2.2, label=f"approach {a}{here}")
        for a, colour in style.APPROACH_COLOURS.items()
        if a in approaches
    ]
    shown = paper_lines() if papers else ()
    return [*ours, *(Line2D([], [], label=p.label, **_paper_style(p.approach)) for p in shown)]
