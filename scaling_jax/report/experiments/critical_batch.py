"""The critical batch of a sweep of sizes and batches, measured in three ways, and C_min."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.laws import CriticalBatch, MinimumCompute
    from scaling_jax.study import Store

T = TypeVar("T")

_TARGETS = 6
_LEAST_BATCHES = 3
_CURVE = 60  # losses of a line


@dataclass(frozen=True)
class BatchStudy:
    """What a sweep of batches gives.

    Attributes:
        curves: held-out losses of the sweep's runs.
        critical: B_crit by size and loss.
        minimum: L(N, S_min) and the frontier of C_min, or None.
        noise: the gradient noise scale along the measured runs, with the run's `loss` there.
        largest: the largest harmless batch of the branches, with the trunk's `params` and `loss`.
        without: why one of the last three is missing, by its name.
    """

    curves: "pd.DataFrame"
    critical: "CriticalBatch"
    minimum: "MinimumCompute | None"
    noise: "pd.DataFrame"
    largest: "pd.DataFrame"
    without: Mapping[str, str] = field(default_factory=dict)


def target_losses(curves: "pd.DataFrame", n: int = _TARGETS) -> list[float]:
    """Losses from the first that every run is above, down to the last that three batches reach.

    Raises:
        InputError: no size has curves of three batches.
    """
    run = curves.sort_values("tokens").groupby("run_id")
    ends = run[["params", "tokens", "step"]].last().assign(loss=run["loss"].min())
    ends["batch"] = ends["tokens"] / ends["step"]
    lows = []
    for _, of_size in ends.groupby("params"):
        reached = np.sort(of_size.groupby("batch")["loss"].min())
        lows += [float(reached[_LEAST_BATCHES - 1])] if len(reached) >= _LEAST_BATCHES else []
    if not lows:
        raise InputError(
            f"no size of this study has finished runs of {_LEAST_BATCHES} batches: train it first"
        )
    high, low = float(run["loss"].first().min()), min(lows)
    return [float(loss) for loss in np.linspace(low + 0.4 * (high - low), low, n)]


def batch_study(
    store: "Store", targets: Sequence[float] = (), tolerance: float = 0.01
) -> BatchStudy:
    """Every measurement of the critical batch that a store holds.

    Raises:
        InputError: no finished runs of three batches, or a target loss that no run reaches.
    """
    from scaling_jax import laws
    from scaling_jax.study import branch_losses, curves, noise_scale

    table, without = curves(store), dict[str, str]()
    losses = list(targets) or target_losses(table)
    critical = laws.critical_batch(table, losses)
    minimum = _known("minimum", without, lambda: laws.minimum_compute(table, losses))
    noise = _known("noise", without, lambda: noise_scale(store, together=2))
    largest = _known(
        "largest",
        without,
        lambda: laws.largest_batch(branch_losses(store), tolerance=tolerance),
    )
    if largest is not None:
        sizes = table.groupby("run_id")["params"].first()
        largest = largest.rename(columns={"trunk": "run_id"})
        largest = largest.assign(params=largest["run_id"].map(sizes))
    return BatchStudy(
        table, critical, minimum, _with_loss(noise, table), _with_loss(largest, table), without
    )


def _known(name: str, without: dict[str, str], measure: Callable[[], T]) -> T | None:
    """A measurement, or None and the reason in `without` where the runs do not give it."""
    try:
        return measure()
    except InputError as error:
        without[name] = str(error)
        return None


def _with_loss(rows: "pd.DataFrame | None", curves: "pd.DataFrame") -> "pd.DataFrame":
    """The rows with the held-out loss and the tokens of their run at their step."""
    import pandas as pd

    if rows is None:
        return pd.DataFrame()
    of_run = {run: points.sort_values("step") for run, points in curves.groupby("run_id")}
    found = []
    for run, step in zip(rows["run_id"], rows["step"], strict=True):
        points = of_run.get(run)
        found.append(
            (np.nan, np.nan)
            if points is None
            else tuple(
                float(np.interp(np.log(step), np.log(points["step"]), points[name]))
                for name in ("loss", "tokens")
            )
        )
    losses, tokens = zip(*found, strict=True) if found else ((), ())
    return rows.assign(loss=losses, tokens=tokens)


def batch_figure(found: BatchStudy) -> "Figure":
    """Steps and tokens to a loss, B_crit against loss and tokens, and loss against C_min."""
    from matplotlib.figure import Figure

    with style.figure_style():
        figure = Figure(figsize=(9.6, 7.4), layout="constrained")
        (trade, by_loss), (by_tokens, by_compute) = figure.subplots(2, 2)
        sizes = sorted(found.curves["params"].unique())
        colours = dict(zip(sizes, style.shades(len(sizes)), strict=True))
        _draw_trade(trade, found.critical)
        for axes, x in ((by_loss, "loss"), (by_tokens, "tokens")):
            _draw_batches(axes, found, x, colours)
        _draw_compute(by_compute, found, colours)
        handles = [
            by_loss.plot([], [], "o", color=colour, label=f"{formatting.count(size)} parameters")[0]
            for size, colour in colours.items()
        ]
        marks = (("o", "steps to a loss"), ("^", "noise scale"), ("s", "branches"))
        handles += [
            by_loss.plot([], [], mark, color=style.MUTED, mfc="none", label=label)[0]
            for mark, label in marks
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw_trade(axes: "Axes", critical: "CriticalBatch") -> None:
    """S / S_min against E / E_min of every batch and loss, beside equation 5.1 (figure 10)."""
    keys = ["params", "loss"]
    points = critical.points.merge(critical.table[[*keys, "steps_min", "tokens_min"]], on=keys)
    more_tokens = points["tokens"] / points["tokens_min"]
    more_steps = points["steps"] / points["steps_min"]
    axes.plot(more_tokens, more_steps, "o", color=style.INK, ms=3.5, alpha=0.6)
    line = np.geomspace(1.01, max(2.0, float(more_tokens.max())) * 1.2, _CURVE)
    axes.plot(line, 1 + 1 / (line - 1), color=style.ACCENT, lw=1.3, label="equation 5.1")
    style.log_axis(axes, "x", style.padded(more_tokens, 1.1), "count")
    axes.set_yscale("log")
    axes.set_xlabel("tokens / E_min")
    axes.set_ylabel("steps / S_min")
    axes.legend()


def _draw_batches(axes: "Axes", found: BatchStudy, x: str, colours: dict[float, object]) -> None:
    """Critical batches of the three measurements against the loss, or the tokens of the run."""
    steps, drawn = found.critical.table.rename(columns={"tokens_min": "tokens"}), list[float]()
    for rows, value, low, high, mark in (
        (steps, "critical_batch", "critical_batch_low", "critical_batch_high", "o"),
        (found.noise, "noise_scale", "noise_scale_low", "noise_scale_high", "^"),
        (found.largest, "critical_batch", "low", "high", "s"),
    ):
        if rows.empty:
            continue
        bounded = rows[(rows[low] > 0) & np.isfinite(rows[high]) & rows[x].notna()]
        drawn += bounded[x].tolist()
        for size, of_size in bounded.groupby("params"):
            y = of_size[value].to_numpy(float)
            ends = of_size[low].to_numpy(float), of_size[high].to_numpy(float)
            below = np.maximum(y - ends[0], 0), np.maximum(ends[1] - y, 0)
            axes.errorbar(
                of_size[x], y, below, fmt=mark, color=colours[float(str(size))], mfc="none", lw=0.8
            )
    axes.set_yscale("log")
    axes.set_ylabel("critical batch (tokens)")
    if x == "tokens":
        if drawn:
            style.log_axis(axes, "x", style.padded(drawn), "count")
        axes.set_xlabel("tokens read (E_min for steps to a loss)")
        return
    if found.minimum is not None:
        measured = found.critical.table["loss"]
        losses = np.linspace(measured.min(), measured.max(), _CURVE)
        line = [found.minimum.frontier.critical_batch(loss) for loss in losses]
        axes.plot(losses, line, color=style.ACCENT, lw=1.3)
    axes.invert_xaxis()
    axes.set_xlabel("held-out loss (nats/token)")


def _draw_compute(axes: "Axes", found: BatchStudy, colours: dict[float, object]) -> None:
    """Loss against C_min of every run, and the optimum under L(N, S_min)."""
    minimum = found.minimum
    axes.set_xlabel("C_min (FLOPs without embeddings)")
    axes.set_ylabel("held-out loss (nats/token)")
    if minimum is None:
        axes.text(0.5, 0.5, "no law of C_min", transform=axes.transAxes, ha="center")
        return
    palette = dict(zip(sorted(minimum.adjusted["params"].unique()), colours.values(), strict=True))
    for _, rows in minimum.adjusted.groupby("run_id"):
        colour = palette[float(rows["params"].iloc[0])]
        axes.plot(rows["flops_min"], rows["loss"], color=colour, lw=0.8, alpha=0.8)
    spread = minimum.adjusted["flops_min"]
    flops = np.geomspace(spread.quantile(0.2), spread.max(), _CURVE)
    best = [minimum.at(each).loss for each in flops]
    axes.plot(flops, best, color=style.ACCENT, lw=1.6, label="optimum of L(N, S_min)")
    axes.set_xscale("log")
    settled = minimum.adjusted[minimum.adjusted["settled"]]
    axes.set_ylim(top=1.02 * float(settled["loss"].max()))
    axes.legend()


def as_text(found: BatchStudy) -> str:
    """The three measurements as tables, how well equation 5.1 holds, and the frontier of C_min."""
    points = found.critical.points
    off = np.log(_steps_by_law(found.critical) / points["steps"])
    parts = [
        str(found.critical),
        f"equation 5.1: steps to a loss scatter by {100 * np.sqrt((off**2).mean()):.2g} % about it "
        f"({len(points)} batches, {len(found.critical.table)} fits of two constants)",
    ]
    for name, title, rows, columns in (
        (
            "noise",
            "gradient noise scale (tokens), two measurements together",
            found.noise,
            ("noise_scale", "noise_scale_low", "noise_scale_high"),
        ),
        (
            "largest",
            "largest batch of the branches (tokens)",
            found.largest,
            ("critical_batch", "low", "high"),
        ),
    ):
        text = found.without.get(name) or rows[["params", "tokens", "loss", *columns]].to_string(
            index=False, float_format="{:,.4g}".format
        )
        parts.append(f"{title}\n{text}")
    parts.append(f"compute at small batches\n{found.without.get('minimum') or found.minimum}")
    return "\n\n".join(parts)


def _steps_by_law(critical: "CriticalBatch") -> "pd.Series":
    keys = ["params", "loss"]
    fitted = critical.points[keys].merge(
        critical.table[[*keys, "steps_min", "critical_batch"]], on=keys
    )
    return fitted["steps_min"] * (1 + fitted["critical_batch"] / critical.points["batch_tokens"])


def answer(store: "Store", targets: Sequence[float] = ()) -> Answer:
    """Every measurement of the critical batch, at the target losses or at losses of its choice.

    Raises:
        InputError: as `batch_study`.
    """
    found = batch_study(store, targets)
    return Answer(as_text(found), batch_figure(found))


def main(root: str, out: str, *targets: str) -> None:
    """Print every measurement of the study at `root`, and draw them into `out`.

    Raises:
        InputError: as `batch_study`, or a target that is no number.
    """
    from scaling_jax.study import Store

    try:
        losses = [float(each) for each in targets]
    except ValueError:
        raise InputError(f"targets {' '.join(targets)}: give losses, such as 2.6 2.4") from None
    answer(Store.open(root), losses).show(out)
