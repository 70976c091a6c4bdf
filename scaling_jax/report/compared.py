"""The page of two or more studies: losses in pairs, curves over each other, laws side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.report import rendering, style
from scaling_jax.report.grouped import colours_of, grouped_content, grouped_panels
from scaling_jax.report.panels import Panel
from scaling_jax.study.status.compared import STUDY, compare_studies
from scaling_jax.study.status.compared_text import multiplier_sentence, pair_sentences, pair_table

if TYPE_CHECKING:
    from scaling_jax.study.status import ComparedStudies
    from scaling_jax.study.status.compared import StudyPair
    from scaling_jax.study.status.loss_differences import CellDifference

_POINTS_PER_CURVE = 60
_DIFFERENCES = (
    "Each dot is a size and a length that two studies trained: the loss minus that of {first}, "
    "with its standard error. Below the line the other study has the lower loss."
)
_CURVES = (
    "Loss of every run against the compute spent so far, a colour for each study. Where the curves "
    "of two studies have their lower edges apart, one needs less compute for a loss."
)


def write_compared(sources: Sequence[Any], path: str | Path, **options: Any) -> Path:
    """Write one self-contained page that compares studies or tables, and return its path.

    Each figure is also stored as SVG and PDF in `<stem>_figures/` beside the page.

    Args:
        sources: directories or stores of studies, or tables; the first is compared with the rest.
        path: the page.
        options: as `study.status.compare_studies` takes them.

    Raises:
        InputError: as `compare_studies`.
    """
    return write_comparison(compare_studies(sources, **options), path)


def write_comparison(found: "ComparedStudies", path: str | Path) -> Path:
    """Write the page of studies that are compared already, and return its path."""
    path = Path(path)
    names = list(dict.fromkeys(found.frame[STUDY]))
    with style.figure_style():
        panels = [_difference_panel(found), _curve_panel(found), *_law_panels(found)]
    differing = [pair_sentences(pair)[0] for pair in found.pairs if pair.differing]
    content = grouped_content(found.grouped)
    compared = [f"{pair.b} against {pair.a}: {_headline(pair)}" for pair in found.pairs]
    content["about"], content["heading"] = content["heading"], " ".join(compared)
    if not content["tables"]:
        content["notes"] = [content["about"], *content["notes"]]
    content["warnings"] = [*(f"Warning: {each}" for each in differing), *content["warnings"]]
    return rendering.write_page(
        path,
        "grouped.html",
        title=" and ".join(names) if len(names) < 3 else f"{len(names)} studies",
        figures=rendering.drawn(panels, rendering.figure_folder(path)),
        pairs=[_content(pair) for pair in found.pairs],
        **content,
    )


def _headline(pair: "StudyPair") -> str:
    if pair.multiplier is not None:
        return multiplier_sentence(pair)
    return pair_sentences(pair)[0]


def _law_panels(found: "ComparedStudies") -> list[Panel | None]:
    if not found.grouped.fits:
        return []
    losses, sizes = grouped_panels(found.grouped, found.frame)
    # Losses in several units, or on several texts, do not belong on one axis.
    return [None if any(pair.differing for pair in found.pairs) else losses, sizes]


def _content(pair: "StudyPair") -> dict[str, Any]:
    return {
        "title": f"{pair.b} against {pair.a}",
        "sentences": [formatting.one_style(each) for each in pair_sentences(pair)],
        "table": pair_table(pair) if pair.cells else None,
    }


def _difference_panel(found: "ComparedStudies") -> Panel | None:
    pairs = [pair for pair in found.pairs if pair.cells]
    if not pairs:
        return None
    figure, axes = style.panel(4.0)
    colours, hover = colours_of(dict.fromkeys(found.frame[STUDY])), {}
    for number, pair in enumerate(pairs):
        sizes = [cell.params for cell in pair.cells]
        values = [cell.difference for cell in pair.cells]
        errors = [cell.stderr or 0.0 for cell in pair.cells]
        look: dict[str, Any] = dict(fmt="none", ecolor=colours[pair.b], elinewidth=1.2, alpha=0.7)
        axes.errorbar(sizes, values, yerr=errors, **look)
        gid = f"cells-{number}"
        axes.plot(sizes, values, "o", color=colours[pair.b], markersize=5, gid=gid)
        hover[gid] = [_cell_label(pair, cell) for cell in pair.cells]
    axes.axhline(0, color=style.MUTED, linewidth=1, zorder=1)
    every = [cell.params for pair in pairs for cell in pair.cells]
    style.log_axis(axes, "x", style.padded(every), "count")
    first = pairs[0].a
    axes.set_xlabel("parameters N")
    axes.set_ylabel(f"loss minus that of {first}")
    _legend(figure, {pair.b: colours[pair.b] for pair in pairs})
    caption = _DIFFERENCES.format(first=first)
    return Panel("differences", "Differences in loss", caption, figure, hover)


def _cell_label(pair: "StudyPair", cell: "CellDifference") -> str:
    error = f" ± {formatting.loss(cell.stderr)}" if cell.stderr is not None else ""
    return formatting.plain_spaces(
        f"{formatting.count(cell.params)} parameters, {formatting.count(cell.tokens)} tokens\n"
        f"{pair.a} {formatting.loss(cell.loss_a)}, {pair.b} {formatting.loss(cell.loss_b)}\n"
        f"difference {cell.difference:+.4f}{error}"
    )


def _curve_panel(found: "ComparedStudies") -> Panel | None:
    import numpy as np

    curves = found.curves
    if curves is None or any(pair.differing for pair in found.pairs):
        return None
    curves = curves[(curves["flops"] > 0) & (curves["loss"] > 0)]
    if curves[STUDY].nunique() < 2:
        return None
    figure, axes = style.panel(4.4)
    colours = colours_of(dict.fromkeys(found.frame[STUDY]))
    for key, rows in curves.groupby([STUDY, "run_id"], sort=False):
        ordered = rows.sort_values("flops")
        keep = np.unique(np.linspace(0, len(rows) - 1, _POINTS_PER_CURVE).round().astype(int))
        thin = ordered.iloc[keep]
        axes.plot(thin["flops"], thin["loss"], color=colours[_first(key)], linewidth=0.9, alpha=0.6)
    # The first steps fall steeply, which would flatten the rest.
    top = float(curves["loss"].quantile(0.9))
    style.log_axis(axes, "x", style.padded(curves["flops"]), "flops")
    style.log_axis(axes, "y", (float(curves["loss"].min()) / 1.03, top * 1.05), "loss")
    axes.set_xlabel("training compute C (FLOPs)")
    unit = next((fit.unit for fit in found.grouped.fits.values()), "")
    axes.set_ylabel(f"loss ({unit})" if unit else "loss")
    _legend(figure, {name: colours[name] for name in dict.fromkeys(curves[STUDY])})
    return Panel("curves", "Curves of all runs", _CURVES, figure)


def _first(key: Any) -> str:
    return str(key[0])


def _legend(figure: Any, colours: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=each, linewidth=2.2, label=n) for n, each in colours.items()]
    style.legend_below(figure, lines, columns=2)
