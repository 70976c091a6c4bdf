"""Cosines longer than the run: what a schedule made for another horizon costs in loss."""

from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.svg import NO_METADATA

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def overshoot_cost(records: "pd.DataFrame") -> "pd.DataFrame":
    """Loss over the loss at the cycle that matches the run, less one: params by cycle.

    Runs that did not finish are missing.

    Raises:
        InputError: no model has a finished run at cycle 1.
    """
    done = records[records["status"] == "finished"]
    losses = done.pivot(index="params", columns="cycle", values="loss")
    if 1.0 not in losses or losses[1.0].isna().all():
        raise InputError("no run whose cosine matches it has finished: train the study first")
    return losses.div(losses[1.0], axis=0) - 1


def overshoot_figure(records: "pd.DataFrame") -> "Figure":
    """Cost in loss against the cosine's length, a line for each model (Hoffmann's figure A1)."""
    import matplotlib
    from matplotlib.figure import Figure

    cost, palette = overshoot_cost(records), matplotlib.colormaps["viridis_r"]
    with style.figure_style():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for i, (params, row) in enumerate(cost.iterrows()):
            colour = palette(0.15 + 0.85 * i / max(1, len(cost) - 1))
            label = f"{formatting.count(float(str(params)))} parameters"
            axes.plot(row.index, 100 * row, "o-", color=colour, ms=5, lw=1.5, label=label)
        axes.axhline(0, color=style.FAINT, lw=1, zorder=0)
        axes.set_xscale("log")
        axes.set_xticks(list(cost.columns), [f"{cycle:g}" for cycle in cost.columns], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("length of the cosine, in runs")
        axes.set_ylabel("loss over that at length 1 (%)")
        axes.legend()
    return figure


def main(root: str, out: str) -> None:
    """Print what each length costs each model of the study at `root`; draw it into `out`."""
    from scaling_jax.study import Store, collect

    records = collect(Store.open(root))
    print(overshoot_cost(records).map("{:+.2%}".format).to_string())
    metadata = NO_METADATA if Path(out).suffix == ".svg" else None
    overshoot_figure(records).savefig(out, metadata=metadata)
