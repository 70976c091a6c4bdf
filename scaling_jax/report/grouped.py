"""The page of a table by groups: one table and one line of each figure for every group."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.report import rendering, style
from scaling_jax.report.panels import Panel, run_labels
from scaling_jax.text_table import Table as TextTable

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import GroupedFits
    from scaling_jax.laws.tables.read import Table

_GRID_POINTS = 33
_DIFFERENT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#1f2328")
_LOSS_CAPTION = (
    "Dots are the runs, lines the loss of the compute-optimal run of each fitted law over the "
    "compute of its runs."
)
_SIZE_CAPTION = "The compute-optimal model size of each fitted law, with its interval as a band."


def write_grouped(
    table: "Table",
    by: str,
    path: str | Path,
    *,
    law: str = "chinchilla",
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Path:
    """Write one self-contained HTML page with the fits of every group of `table` to `path`.

    Each figure is also stored as SVG and PDF in `<stem>_figures/` beside the page.

    Args:
        table: as `laws.fit` takes it.
        by: as `laws.fit_by` takes it.
        path: the page.
        law: the law of params and tokens that is fitted.
        columns: our name -> the table's.
        unit: of the loss.

    Raises:
        InputError: as `laws.fit_by`.
    """
    from scaling_jax import laws
    from scaling_jax.laws.catalogue.find import law_or_default
    from scaling_jax.laws.tables.read import load_table

    frame = load_table(table, law_or_default(law), columns)
    grouped = laws.fit_by(frame, by, law=law, unit=unit)
    path = Path(path)
    with style.figure_style():
        panels = grouped_panels(grouped, frame)
    named = os.fspath(table) if isinstance(table, str | os.PathLike) else ""
    return rendering.write_page(
        path,
        "grouped.html",
        title=Path(named).name or f"By {grouped.by}",
        figures=rendering.drawn(panels, rendering.figure_folder(path)),
        pairs=(),
        **grouped_content(grouped),
    )


def grouped_panels(grouped: "GroupedFits", frame: "pd.DataFrame") -> list[Panel | None]:
    """The figures of all groups: their losses and frontiers, and their optimal sizes."""
    return [_loss_panel(grouped, frame), _size_panel(grouped)]


def grouped_content(grouped: "GroupedFits") -> dict[str, Any]:
    """What a page says of the groups: a heading, warnings, notes and tables."""
    from scaling_jax.laws.grouping_text import grouped_text

    heading, *blocks = grouped_text(grouped)
    sentences = [block for block in blocks if isinstance(block, str) and block.strip()]
    shown = [block for block in blocks if isinstance(block, TextTable)]
    return {
        "by": grouped.by,
        "about": "",
        "heading": formatting.one_style(str(heading)),
        "warnings": [_sentence(each) for each in sentences if each.startswith("warning")],
        "notes": [_sentence(each) for each in sentences if not each.startswith(("warning", "\n"))],
        "tables": list(zip(("Fits", "Differences"), shown, strict=False)),
    }


def _sentence(text: str) -> str:
    plain = formatting.one_style(text)
    return plain[:1].upper() + plain[1:] if plain.startswith(("warning", "note")) else plain


def colours_of(groups: Iterable[str]) -> dict[str, Any]:
    """A colour for each group."""
    names = list(groups)
    several = style.shades(len(names)) if len(names) > len(_DIFFERENT) else _DIFFERENT
    return dict(zip(names, several, strict=False))


def _optima(grouped: "GroupedFits") -> dict[str, list[Any]]:
    import numpy as np

    return {
        name: [fit.optimal(float(c)) for c in np.geomspace(*fit.flops_range, _GRID_POINTS)]
        for name, fit in grouped.fits.items()
        if fit.exponents
    }


def _loss_panel(grouped: "GroupedFits", frame: "pd.DataFrame") -> Panel | None:
    from matplotlib.lines import Line2D

    from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
    from scaling_jax.laws.grouping import group_rows
    from scaling_jax.laws.tables.select import fitted_rows

    figure, axes = style.panel(4.4)
    colours = colours_of(grouped.fits)
    flops: list[float] = []
    losses: list[float] = []
    hover: dict[str, list[str]] = {}
    for name, rows in group_rows(frame, grouped.by).items():
        if name not in colours:
            continue
        runs = fitted_rows(rows)
        c = (
            runs["flops"]
            if "flops" in runs
            else FLOPS_PER_PARAM_TOKEN * runs["params"] * runs["tokens"]
        )
        gid = f"runs-{len(hover)}"
        look: dict[str, Any] = dict(
            color=colours[name], markersize=4, alpha=0.5, linewidth=0, gid=gid
        )
        axes.plot(c, runs["loss"], "o", **look)
        named = runs if "run_id" in runs else runs.assign(run_id=_row_names(runs, name))
        hover[gid] = [f"{label}\n{name}" for label in run_labels(named)]
        flops.extend(c)
        losses.extend(runs["loss"])
    for name, optima in _optima(grouped).items():
        line = [(each.flops, each.loss) for each in optima if each.loss is not None]
        if line:
            axes.plot(*zip(*line, strict=True), color=colours[name], linewidth=2.2, zorder=4)
    style.log_axis(axes, "x", style.padded(flops), "flops")
    style.log_axis(axes, "y", style.padded(losses, 1.03), "loss")
    unit = next(iter(grouped.fits.values())).unit
    axes.set_xlabel("training compute C (FLOPs)")
    axes.set_ylabel(f"loss ({unit})" if unit else "loss")
    handles = [
        Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in colours.items()
    ]
    style.legend_below(figure, handles, columns=2)
    return Panel("by-loss", f"Loss by {grouped.by}", _LOSS_CAPTION, figure, hover)


def _row_names(runs: "pd.DataFrame", group: str) -> list[str]:
    """Names for runs of a table without names: no two are alike, since a page rings like names."""
    return [f"{group}, run {number}" for number in range(1, len(runs) + 1)]


def _size_panel(grouped: "GroupedFits") -> Panel | None:
    from matplotlib.lines import Line2D

    optima, colours = _optima(grouped), colours_of(grouped.fits)
    if not optima:
        return None
    figure, axes = style.panel(4.4)
    for name, each in optima.items():
        flops = [optimum.flops for optimum in each]
        axes.plot(flops, [optimum.params for optimum in each], color=colours[name], linewidth=2.2)
        bounds = [optimum.params_interval for optimum in each if optimum.params_interval]
        if len(bounds) == len(flops):
            low, high = zip(*bounds, strict=True)
            axes.fill_between(flops, low, high, color=colours[name], alpha=0.15, linewidth=0)
    sizes = [optimum.params for each in optima.values() for optimum in each]
    style.log_axis(axes, "x", style.padded([o.flops for e in optima.values() for o in e]), "flops")
    style.log_axis(axes, "y", style.padded(sizes, 1.6), "count")
    axes.set_xlabel("training compute C (FLOPs)")
    axes.set_ylabel("optimal parameters N")
    handles = [Line2D([], [], color=colours[name], linewidth=2.2, label=name) for name in optima]
    style.legend_below(figure, handles, columns=2)
    return Panel("by-size", f"Optimal size by {grouped.by}", _SIZE_CAPTION, figure)
