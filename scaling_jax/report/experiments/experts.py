"""IsoFLOP curves of dense models and mixtures of experts, by active parameters."""

from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import finished

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.study import Store


def lowest(records: "pd.DataFrame") -> "pd.DataFrame":
    """The run with the lowest loss at each budget and number of experts.

    The column `gain` is the loss of the dense model of the same budget minus the run's own loss
    (nats/token), and NaN without a dense model.
    """
    best = records.loc[records.groupby(["budget", "n_experts"])["loss"].idxmin()]
    dense = best[best["n_experts"] == 1].set_index("budget")["loss"]
    columns = ["budget", "n_experts", "params_active", "params", "tokens", "loss"]
    return best[columns].assign(gain=best["budget"].map(dense) - best["loss"])


def expert_figure(records: "pd.DataFrame") -> "Figure":
    """Loss against active parameters: one panel per budget, one line per number of experts."""
    from matplotlib.figure import Figure

    budgets, numbers = (sorted(records[name].unique()) for name in ("budget", "n_experts"))
    with style.figure_style():
        figure = Figure(figsize=(1.2 + 2.9 * len(budgets), 3.4), layout="constrained")
        panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
        for budget, axes in zip(budgets, panels, strict=True):
            for n, colour in zip(numbers, style.shades(len(numbers)), strict=True):
                shown = (records["budget"] == budget) & (records["n_experts"] == n)
                runs = records[shown].sort_values("params_active")
                label = "dense" if n == 1 else f"{n} experts"
                axes.plot(runs["params_active"], runs["loss"], "o-", color=colour, label=label)
            style.log_axis(axes, "x", style.padded(records["params_active"], 1.1), "count")
            axes.set_title(f"{formatting.flops(budget)} FLOPs", fontsize=11)
            axes.set_xlabel("active parameters")
        panels[0].set_ylabel("loss (nats/token)")
        panels[-1].legend()
    return figure


def answer(store: "Store") -> Answer:
    """The lowest losses, and the IsoFLOP curves."""
    records = finished(store)
    text = lowest(records).to_string(index=False, float_format="{:.5g}".format)
    return Answer(text, expert_figure(records))


main = command(answer)
