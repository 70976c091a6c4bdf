"""Training curves against compute, and their lower envelope."""

from typing import TYPE_CHECKING, Any

from scaling_jax.report import style
from scaling_jax.report.content import ReportData, finished
from scaling_jax.report.panels import Panel, run_labels

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ENDS = "ends"
POINTS_PER_CURVE = 120
TITLE = "Training curves and their envelope"
CAPTION = (
    "{loss} loss of every run against the compute spent so far. Lighter curves are larger "
    "models. At first small models have the lower loss; with more compute large models overtake "
    "them. "
)
ENVELOPE = (
    "Black dots mark the lowest loss that any run had reached at each compute: the frontier to "
    "which approach 1 fits its power laws."
)
UNDER_WAY = " Dotted curves are runs that have not finished; no law is fitted to them."


def envelope_panel(data: ReportData) -> Panel | None:
    """Loss against FLOPs of every curve (Hoffmann et al. 2022, figure 2); None without curves."""
    if data.curves is None or data.curves.empty:
        return None
    curves = data.curves[(data.curves["flops"] > 0) & (data.curves["loss"] > 0)]
    if curves.empty:
        return None
    figure, axes = style.panel(3.9)
    colouring = _colouring(curves["params"])
    done = set(finished(data.records)["run_id"])
    for run_id, rows in curves.groupby("run_id"):
        _draw_curve(axes, rows.sort_values("flops"), colouring, run_id in done)
    ends = _draw_ends(axes, data, curves, colouring)
    points = data.fits[1].frontier_points if 1 in data.fits else None
    if points is not None:
        axes.plot(points.flops, points.loss, "o", color=style.INK, markersize=3, zorder=5)
    _finish_axes(figure, axes, curves, points, colouring)
    held_out = "loss_of" in curves and curves["loss_of"].eq("held_out").all()
    loss = "held-out" if held_out else "training"
    axes.set_ylabel(f"{loss} loss{data.in_unit}")
    caption = CAPTION.format(loss=loss.capitalize()) + (ENVELOPE if points is not None else "")
    if not set(curves["run_id"]) <= done:
        caption += UNDER_WAY
    return Panel("envelope", TITLE, caption, figure, {_ENDS: run_labels(ends, data.unit)})


def _colouring(params: "pd.Series") -> Any:
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    low, high = style.padded(params, 1.02)
    return ScalarMappable(LogNorm(low, high), matplotlib.colormaps["cividis"].resampled(24))


def _draw_curve(axes: "Axes", rows: "pd.DataFrame", colouring: Any, is_done: bool) -> None:
    keep = _thinned(rows["flops"].to_numpy(float))
    x, y = rows["flops"].to_numpy(float)[keep], rows["loss"].to_numpy(float)[keep]
    colour = colouring.to_rgba(float(rows["params"].iloc[0]))
    axes.plot(x, y, color=colour, linewidth=1, alpha=0.85, linestyle="-" if is_done else ":")


def _draw_ends(
    axes: "Axes", data: ReportData, curves: "pd.DataFrame", colouring: Any
) -> "pd.DataFrame":
    """A dot at the end of every finished run's curve; the runs in the order of the dots."""
    last = curves.sort_values("flops").groupby("run_id").tail(1).set_index("run_id")
    runs = finished(data.records)
    runs = runs[runs["run_id"].isin(last.index)]
    at = last.loc[runs["run_id"]]
    colours = [colouring.to_rgba(float(n)) for n in at["params"]]
    axes.scatter(at["flops"], at["loss"], c=colours, s=16, zorder=4, gid=_ENDS)
    return runs


def _thinned(flops: "np.ndarray") -> "np.ndarray":
    """Indices of points spread evenly in log FLOPs, which keep the page small."""
    import numpy as np

    if len(flops) <= POINTS_PER_CURVE:
        return np.arange(len(flops))
    wanted = np.geomspace(flops[0], flops[-1], POINTS_PER_CURVE)
    return np.unique(np.searchsorted(flops, wanted).clip(0, len(flops) - 1))


def _finish_axes(
    figure: "Figure", axes: "Axes", curves: "pd.DataFrame", points: Any, colouring: Any
) -> None:
    import numpy as np

    # All curves fall steeply in their first steps; showing that fall would flatten the rest.
    low = float(curves["loss"].min())
    high = float(np.quantile(curves["loss"], 0.97))
    if points is not None and len(points.loss):
        high = max(high, float(np.max(points.loss)))
    style.log_axis(axes, "x", style.padded(curves["flops"], 1.3), "flops")
    style.log_axis(axes, "y", (low / 1.03, high * 1.05), "loss")
    axes.set_xlabel("training compute C (FLOPs)")
    bar = figure.colorbar(colouring, ax=axes, pad=0.02, aspect=30)
    style.log_axis(bar.ax, "y", (colouring.norm.vmin, colouring.norm.vmax), "count")
    bar.set_label("parameters N")
    bar.outline.set_visible(False)
