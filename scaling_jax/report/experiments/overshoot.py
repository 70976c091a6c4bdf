"""The loss that a cosine schedule longer than the run costs."""

from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.study import Store


def overshoot_cost(records: "pd.DataFrame") -> "pd.DataFrame":
    """Relative change in loss against the cycle that equals the run; rows params, columns cycle.

    Runs that did not finish are missing.

    Raises:
        InputError: no model has a finished run at cycle 1.
    """
    done = records[records["status"] == "finished"]
    losses = done.pivot(index="params", columns="cycle", values="loss")
    if 1.0 not in losses or losses[1.0].isna().all():
        raise InputError(
            "no run with a cosine of its own length has finished: train the study first"
        )
    return losses.div(losses[1.0], axis=0) - 1


def overshoot_figure(records: "pd.DataFrame") -> "Figure":
    """Cost in loss against the cosine's length, one line per model (Hoffmann et al., figure A1)."""
    from matplotlib.figure import Figure

    cost = overshoot_cost(records)
    with style.figure_style():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for (params, row), colour in zip(cost.iterrows(), style.shades(len(cost)), strict=True):
            label = f"{formatting.count(float(str(params)))} parameters"
            axes.plot(row.index, 100 * row, "o-", color=colour, ms=5, lw=1.5, label=label)
        axes.axhline(0, color=style.FAINT, lw=1, zorder=0)
        axes.set_xscale("log")
        axes.set_xticks(list(cost.columns), [f"{cycle:g}" for cycle in cost.columns], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("length of the cosine / length of the run")
        axes.set_ylabel("loss relative to length 1 (%)")
        axes.legend()
    return figure


def answer(store: "Store") -> Answer:
    """The cost in loss of each length of the schedule, for each model."""
    from scaling_jax.study import collect

    records = collect(store)
    text = overshoot_cost(records).map("{:+.2%}".format).to_string()
    return Answer(text, overshoot_figure(records))


main = command(answer)
