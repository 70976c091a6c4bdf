"""Sizes, colours and axes that all figures share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from scaling_jax import formatting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Limits = tuple[float, float]
Kind = Literal["count", "flops", "loss"]

# Okabe and Ito's palette: distinguishable with the common kinds of colour blindness.
APPROACH_COLOURS = {1: "#0072B2", 2: "#009E73", 3: "#D55E00"}
INK, MUTED, FAINT, SHADE = "#1f2328", "#6a6f76", "#c9ccd1", "#efebe0"
ACCENT, WARNING = "#D55E00", "#A8326E"

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 10,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "svg.hashsalt": "scaling_jax",
    "figure.dpi": 100,
    "savefig.facecolor": "none",
}

TICK_LABELS = {
    "count": formatting.count,
    "flops": formatting.flops,
    "loss": lambda value: formatting.significant(value, 3),
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Use the report's Matplotlib settings in a `with` block, and restore the former ones."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def shades(n: int) -> list[Any]:
    """Colours of an ordered series of `n` lines, from light to dark."""
    import matplotlib

    palette = matplotlib.colormaps["viridis_r"]
    # The pale end of the palette would not show on white.
    return [palette(0.15 + 0.85 * i / max(1, n - 1)) for i in range(n)]


def panel(height: float = 3.6) -> "tuple[Figure, Axes]":
    """A figure with one empty panel, 5 inches wide: 11 pt text stays readable on a phone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, height), layout="constrained")
    return figure, figure.add_subplot()


def log_axis(axes: "Axes", which: Literal["x", "y"], limits: Limits, kind: Kind) -> None:
    """Make one axis logarithmic over `limits`, with tick labels like 10 k or 1e18."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log", f"{which}lim": limits})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=_tick_multiples(limits[1] / limits[0]), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: TICK_LABELS[kind](value)))
    axis.set_minor_formatter(NullFormatter())


def padded(values: Any, factor: float = 1.25) -> Limits:
    """Limits of a logarithmic axis that leave a margin of `factor` around the values."""
    import numpy as np

    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite) & (finite > 0)]
    return float(finite.min()) / factor, float(finite.max()) * factor


def _tick_multiples(ratio: float) -> tuple[float, ...]:
    if ratio < 3:
        return (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
    if ratio < 60:
        return (1.0, 2.0, 5.0)
    return (1.0, 3.0) if ratio < 400 else (1.0,)


def legend_below(figure: "Figure", handles: Any, columns: int) -> None:
    """One legend below the axes, where it covers no data."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        handlelength=1.6,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.2,
    )
