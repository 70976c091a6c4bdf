"""Losses of shapes of equal size, relative to the best (Kaplan et al. 2020, figure 5)."""

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from scaling_jax import formatting
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import finished, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.study import Store

# For each series of `ShapeGrid(at=N)`: the proportion that differs in it, in words.
PROPORTIONS = {
    "aspect": "width / layers",
    "heads": "heads",
    "feed-forward": "feed-forward width / width",
}

# Sizes of one study differ by more than this; shapes of one size by less.
_SAME_SIZE = 1.1


def shape_losses(records: "pd.DataFrame", level: float = 0.9) -> "pd.DataFrame":
    """A row for each shape and series: what its loss is above the least of its size.

    `size` is the mean number of parameters without embeddings, `value` the proportion, `excess` the
    relative loss above the best shape of the size, whatever its series, and `low` and `high` its
    interval: over seeds, each compared with the best shape of the same seed and tokens. They are
    NaN with one seed. The small differences of size are taken out first by the slope of log loss
    in log size between the base shapes of the study; a study of one size has no slope, and its
    losses stay as they are.

    Args:
        records: finished runs of a study with `ShapeGrid(at=...)`, as `collect` gives them.
        level: of the intervals.
    """
    import pandas as pd

    table = records.assign(series=records["variation"].map(lambda name: name.rpartition(", ")[2]))
    table["size"] = _sizes(table["params_non_embedding"].to_numpy(float))
    logs = np.log(table["params_non_embedding"] / table["size"])
    table["level_loss"] = table["loss"] * np.exp(-_slope(table) * logs)
    rows = []
    for (size, tokens), same in table.groupby(["size", "tokens"]):
        by_shape = same.pivot_table(index="seed", columns=_KEY, values="level_loss")
        best = by_shape.mean().idxmin()
        excess = by_shape.div(by_shape[best], axis=0) - 1
        for key, found in excess.items():
            shape = cast("tuple[int, ...]", key)
            low, high = mean_interval(found.to_numpy(float), level)
            of_shape = same[(same[_KEY] == list(shape)).all(axis=1)].iloc[0]
            estimate = {"excess": found.mean(), "low": low, "high": high, "seeds": found.count()}
            for series, value in _values(of_shape):
                rows.append(
                    {"size": size, "tokens": tokens, "series": series, "value": value}
                    | dict(zip(_KEY, shape, strict=True))
                    | {"loss": by_shape[shape].mean()}
                    | estimate
                )
    return pd.DataFrame(rows).sort_values(["size", "tokens", "series", "value"], ignore_index=True)


def shape_figure(losses: "pd.DataFrame") -> "Figure":
    """Relative loss above the best against each proportion, one line per size."""
    from matplotlib.figure import Figure

    lines = list(losses.groupby(["size", "tokens"]))
    with style.figure_style():
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        panels = figure.subplots(1, len(PROPORTIONS), sharey=True)
        for axes, (series, label) in zip(panels, PROPORTIONS.items(), strict=True):
            for (key, runs), colour in zip(lines, style.shades(len(lines)), strict=True):
                shown = runs[runs["series"] == series]
                name = f"{formatting.count(key[0])} parameters"
                heights = 100 * shown["excess"]
                axes.plot(shown["value"], heights, "o-", color=colour, ms=5, lw=1.4, label=name)
                known = shown[shown["low"].notna()]
                axes.vlines(known["value"], 100 * known["low"], 100 * known["high"], color=colour)
            axes.axhline(0, color=style.FAINT, lw=1, zorder=0)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
            axes.set_xlabel(label)
        panels[0].set_ylabel("loss above the best shape (%)")
        handles = panels[0].get_legend_handles_labels()[0]
        style.legend_below(figure, handles, columns=len(lines))
    return figure


_KEY = ["n_layers", "d_model", "n_heads", "d_ff"]


def _values(shape: "pd.Series") -> list[tuple[str, float]]:
    """The series that a shape belongs to, and its proportion there; the base belongs to all."""
    values = {
        "aspect": shape["d_model"] / shape["n_layers"],
        "heads": float(shape["n_heads"]),
        "feed-forward": shape["d_ff"] / shape["d_model"],
    }
    name = shape["series"]
    return list(values.items()) if name == "base" else [(name, values[name])]


def _sizes(params_N: np.ndarray) -> np.ndarray:
    """For each run the geometric mean of the sizes that are about its own."""
    order = np.argsort(params_N)
    starts = np.diff(np.log(params_N[order]), prepend=-np.inf) > math.log(_SAME_SIZE)
    group_N = np.empty(len(order), int)
    group_N[order] = np.cumsum(starts)
    means = {g: math.exp(np.log(params_N[group_N == g]).mean()) for g in np.unique(group_N)}
    return np.array([means[g] for g in group_N])


def _slope(table: "pd.DataFrame") -> float:
    """Slope of log loss in log size between the base shapes, with the tokens taken out."""
    base = table[table["series"] == "base"]
    logs = base[["params_non_embedding", "loss"]].map(math.log)
    means = logs.groupby(base["tokens"]).transform("mean")
    x, y = ((logs - means)[name] for name in logs)
    return float((x * y).sum() / (x * x).sum()) if (x * x).sum() > 0.1 else 0.0


def answer(store: "Store") -> Answer:
    """What each shape loses on the best shape of its size."""
    losses = shape_losses(finished(store))
    percent = dict.fromkeys(("excess", "low", "high"), "{:+.2%}".format)
    text = losses.to_string(index=False, formatters=percent, float_format="{:.5g}".format)
    return Answer(text, shape_figure(losses))


main = command(answer)
