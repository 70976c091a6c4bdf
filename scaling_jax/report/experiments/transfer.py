"""Sweeps of the learning rate over model sizes: the best rate of each size and how it moves."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import finished_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.study import Store

SIZES = ("d_model", "n_layers")
NAMES = {"d_model": "width", "n_layers": "depth"}
TITLES = {"standard": "Standard", "mup": "muP", "completep": "CompleteP"}


class Best(NamedTuple):
    """The best learning rate of one model size, and the loss at that rate (nats/token)."""

    size: int
    lr: float
    loss: float


@dataclass(frozen=True)
class Transfer:
    """How the best learning rate moves with width or depth, under one parameterization.

    Attributes:
        parameterization: the name of the parameterization.
        axis: `d_model` or `n_layers`.
        best: best rates, smallest size first.
        exponent: e of lr ∝ size^e, by least squares through the logarithms of the best rates.
        penalty: loss of the largest size at the smallest size's best rate, minus the largest
            size's best loss (nats/token).
    """

    parameterization: str
    axis: str
    best: tuple[Best, ...]
    exponent: float
    penalty: float


def best_rate(rates: Any, losses: Any) -> tuple[float, float]:
    """Vertex (rate, loss) of the parabola in log rate through the lowest loss and its neighbours.

    Raises:
        InputError: the lowest loss is at an end of the sweep, so that the best rate may lie
            beyond it, or there are fewer than three rates.
    """
    import numpy as np

    order = np.argsort(rates)
    x, y = np.log(np.asarray(rates, float)[order]), np.asarray(losses, float)[order]
    i = int(np.argmin(y))
    if not 0 < i < len(y) - 1:
        raise InputError(
            f"the lowest loss is at an end of the sweep of {len(y)} learning rates, at "
            f"{math.exp(x[i]):.3g}: sweep further"
        )
    a, b, c = np.polyfit(x[i - 1 : i + 2] - x[i], y[i - 1 : i + 2], 2)
    return math.exp(x[i] - b / (2 * a)), float(c - b**2 / (4 * a))


def transfers(records: "pd.DataFrame") -> list[Transfer]:
    """One `Transfer` for each parameterization and each of width and depth that varies.

    Along one axis the other axis has its smallest value. Diverged runs are dropped.

    Raises:
        InputError: no finished runs, or as `best_rate`.
    """
    done = finished_rows(records)
    found = []
    for rule, runs in done.groupby("parameterization", sort=False):
        for axis, other in (SIZES, SIZES[::-1]):
            line = runs[runs[other] == runs[other].min()]
            if line[axis].nunique() > 1:
                found.append(_transfer(str(rule), axis, line))
    return found


def _transfer(rule: str, axis: str, runs: "pd.DataFrame") -> Transfer:
    import numpy as np

    sweeps = {size: runs[runs[axis] == size] for size in sorted(runs[axis].unique())}
    best = tuple(Best(int(size), *best_rate(s["peak_lr"], s["loss"])) for size, s in sweeps.items())
    sizes, rates = ([math.log(b[i]) for b in best] for i in (0, 1))
    largest = sweeps[best[-1].size].sort_values("peak_lr")
    at_smallest = np.interp(rates[0], np.log(largest["peak_lr"]), largest["loss"])
    return Transfer(
        rule, axis, best, float(np.polyfit(sizes, rates, 1)[0]), float(at_smallest) - best[-1].loss
    )


def transfer_figure(records: "pd.DataFrame") -> "Figure":
    """Loss against peak learning rate, one panel per parameterization and axis of size."""
    from matplotlib.figure import Figure

    found = transfers(records)
    rows, columns = ([getattr(t, name) for t in found] for name in ("axis", "parameterization"))
    rows, columns = list(dict.fromkeys(rows)), list(dict.fromkeys(columns))
    with style.figure_style():
        figure = Figure(figsize=(4.2 * len(columns), 3.4 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
        for t in found:
            axes = grid[rows.index(t.axis)][columns.index(t.parameterization)]
            _draw(axes, t, records)
        for axis, axes in zip(rows, grid[:, 0], strict=True):
            # Losses far from the best rate would hide the minima.
            losses = [best.loss for t in found if t.axis == axis for best in t.best]
            room = max(0.2, max(losses) - min(losses))
            axes.set_ylim(min(losses) - 0.1 * room, max(losses) + room)
            axes.set_ylabel("loss (nats/token)")
        for axis, axes in zip(rows, grid[:, -1], strict=True):
            axes.legend(title=NAMES[axis], loc="center left", bbox_to_anchor=(1, 0.5))
        for axes in grid[-1]:
            axes.set_xlabel("peak learning rate")
    return figure


def _draw(axes: "Axes", transfer: Transfer, records: "pd.DataFrame") -> None:
    other = SIZES[1 - SIZES.index(transfer.axis)]
    runs = records[records["parameterization"] == transfer.parameterization]
    runs = runs[runs[other] == records[other].min()].sort_values("peak_lr")
    for best, colour in zip(transfer.best, style.shades(len(transfer.best)), strict=True):
        sweep = runs[runs[transfer.axis] == best.size]
        axes.plot(sweep["peak_lr"], sweep["loss"], "o-", color=colour, ms=3.5, lw=1.3)
        axes.plot(best.lr, best.loss, "D", color=colour, ms=7, mec="white", label=str(best.size))
    axes.set_xscale("log", base=2)
    axes.set_title(f"{TITLES[transfer.parameterization]}, over {NAMES[transfer.axis]}", fontsize=11)


def answer(store: "Store") -> Answer:
    """The best learning rates of the sweep, by parameterization and size."""
    from scaling_jax.study import collect

    records, lines = collect(store), []
    for t in transfers(records):
        name = NAMES[t.axis]
        lines.append(f"{t.parameterization}, over {name}: best rate ∝ {t.axis}^{t.exponent:+.2f}")
        lines += [f"  {best.size:>6}  {best.lr:.4f}  loss {best.loss:.4f}" for best in t.best]
        lines.append(
            f"  at the smallest size's best rate the largest loses {t.penalty:+.4f} nats/token"
        )
    return Answer("\n".join(lines), transfer_figure(records))


main = command(answer)
