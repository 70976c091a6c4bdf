"""IsoFLOP profiles of dense models and mixtures of experts, by the parameters a token uses."""

from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.svg import NO_METADATA

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.study import Store


def expert_records(store: "Store") -> "pd.DataFrame":
    """Records of the finished runs.

    Raises:
        InputError: no run has finished.
    """
    from scaling_jax.study import collect

    records = collect(store)
    done = records[records["status"] == "finished"]
    if done.empty:
        raise InputError("no run of this study has finished: train it first")
    return done


def lowest(records: "pd.DataFrame") -> "pd.DataFrame":
    """The run of the lowest loss at each budget and number of experts, and its advantage.

    `gain` is the loss of the dense model of the same budget less its own (nats/token), NaN where
    none was trained.
    """
    best = records.loc[records.groupby(["budget", "n_experts"])["loss"].idxmin()]
    dense = best[best["n_experts"] == 1].set_index("budget")["loss"]
    columns = ["budget", "n_experts", "params_active", "params", "tokens", "loss"]
    return best[columns].assign(gain=best["budget"].map(dense) - best["loss"])


def expert_figure(records: "pd.DataFrame") -> "Figure":
    """Loss against active parameters: a panel for each budget, a line for each n_experts."""
    import matplotlib
    from matplotlib.figure import Figure

    budgets, numbers = (sorted(records[name].unique()) for name in ("budget", "n_experts"))
    palette = matplotlib.colormaps["viridis_r"]
    with style.figure_style():
        figure = Figure(figsize=(1.2 + 2.9 * len(budgets), 3.4), layout="constrained")
        panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
        for budget, axes in zip(budgets, panels, strict=True):
            for i, n in enumerate(numbers):
                mine = (records["budget"] == budget) & (records["n_experts"] == n)
                runs = records[mine].sort_values("params_active")
                colour = palette(0.15 + 0.85 * i / max(1, len(numbers) - 1))
                label = "dense" if n == 1 else f"{n} experts"
                axes.plot(runs["params_active"], runs["loss"], "o-", color=colour, label=label)
            style.log_axis(axes, "x", style.padded(records["params_active"], 1.1), "count")
            axes.set_title(f"{formatting.flops(budget)} FLOPs", fontsize=11)
            axes.set_xlabel("active parameters")
        panels[0].set_ylabel("loss (nats/token)")
        panels[-1].legend()
    return figure


def main(root: str, out: str) -> None:
    """Print the lowest losses of the study at `root` and draw its profiles into the file `out`."""
    from scaling_jax.study import Store

    records = expert_records(Store.open(root))
    print(lowest(records).to_string(index=False, float_format="{:.5g}".format))
    metadata = NO_METADATA if Path(out).suffix == ".svg" else None
    expert_figure(records).savefig(out, metadata=metadata)
