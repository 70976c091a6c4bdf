"""The law of repeated data, and whether the runs identify its decays (Muennighoff et al. 2023)."""

import math
from typing import TYPE_CHECKING

from scaling_jax import formatting, laws
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import constants_text, finished

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.laws import Profile
    from scaling_jax.study import Store

# An interval whose ends differ by more than this says no more than an order of magnitude.
_WIDEST = 30.0


def decay_profiles(records: "pd.DataFrame", level: float = 0.9) -> dict[str, "Profile"]:
    """The profile likelihood of R_D and R_N of the law `data-constrained`, all else refitted.

    A bootstrap of a flat valley shows only where its search ended; a profile shows the valley.

    Raises:
        InputError: too few runs for the law, or a fit that does not converge.
    """
    table = records[["params", "tokens", "unique_tokens", "loss"]]
    return {
        name: laws.profile(table, name, law="data-constrained", level=level)
        for name in ("R_D", "R_N")
    }


def verdict(profile: "Profile") -> str:
    """Whether the runs identify a decay: bounded on both sides, within a factor of 30."""
    low, high = profile.interval
    found = f"{profile.name} = {profile.estimate:.3g}, {profile.level:.0%} interval"
    bounds = f"{low:.3g} to {high:.3g}"
    if low > 0 and math.isfinite(high) and high / low <= _WIDEST:
        return f"{found} {bounds}: identified"
    if low > 0 and not math.isfinite(high):
        return f"{found} from {low:.3g}, unbounded above: not identified, only bounded below"
    if not low > 0 and math.isfinite(high):
        return f"{found} up to {high:.3g}, unbounded below: not identified, only bounded above"
    return f"{found} {bounds}: not identified"


def epochs_figure(records: "pd.DataFrame") -> "Figure":
    """Loss against epochs: a panel for each number of unique tokens, a line for each size.

    Lines are means over seeds.
    """
    from matplotlib.figure import Figure

    table = records.assign(epochs=records["tokens"] / records["unique_tokens"])
    stocks = sorted(table["unique_tokens_limit"].unique())
    sizes = sorted(table["params"].unique())
    with style.figure_style():
        figure = Figure(figsize=(1.0 + 2.9 * len(stocks), 3.7), layout="constrained")
        panels = figure.subplots(1, len(stocks), sharey=True, squeeze=False)[0]
        for axes, stock in zip(panels, stocks, strict=True):
            for size, colour in zip(sizes, style.shades(len(sizes)), strict=True):
                shown = (table["params"] == size) & (table["unique_tokens_limit"] == stock)
                runs = table[shown]
                label = f"{formatting.count(size)} parameters"
                axes.plot(runs["epochs"], runs["loss"], "o", color=colour, ms=4, label=label)
                axes.plot(runs.groupby("epochs")["loss"].mean(), color=colour)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
            axes.set_title(f"{formatting.count(stock)} unique tokens", fontsize=11)
            axes.set_xlabel("epochs")
        panels[0].set_ylabel("loss (nats/token)")
        handles = panels[0].get_legend_handles_labels()[0]
        style.legend_below(figure, handles, columns=min(4, len(sizes)))
    return figure


def answer(store: "Store") -> Answer:
    """The law of repeated data, and what the runs say of R_D and R_N."""
    records = finished(store)
    table = records[["params", "tokens", "unique_tokens", "loss"]]
    fit = laws.fit(table, law="data-constrained", bootstrap=0)
    lines = [
        "L = E + A / N'^alpha + B / D'^beta (Muennighoff et al. 2023):",
        constants_text(fit),
        *(verdict(profile) for profile in decay_profiles(records).values()),
    ]
    return Answer("\n".join(lines), epochs_figure(records))


main = command(answer)
