"""Architectures at equal size: the best loss of each, and their losses along the context."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import finished_rows, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.study import Store

REFERENCE = "transformer"
COLUMNS = ("architecture", "params_non_embedding", "peak_lr", "at_edge", "seeds", "loss")
BEHIND = ("behind", "low", "high")


def best_rates(
    records: "pd.DataFrame", reference: str = REFERENCE, level: float = 0.9
) -> "pd.DataFrame":
    """The learning rate of lowest mean loss over seeds of each architecture and size.

    A row for each, by size within architecture: `loss` is the mean over the `seeds` of that rate,
    `run_ids` are its runs, and `pairs` what each seed is behind. `at_edge` says whether the rate is
    the lowest or the highest of several that were tried, so that a better one may lie beyond. A
    rate counts if as many seeds finished with it as with any other. `behind` is the loss relative
    to `reference` at the same size, minus 1, in the mean over seeds, with the ends of its interval,
    which are NaN with one seed. The loss of `reference` there is on the line, in logs, through its
    two nearest sizes; with fewer sizes `behind` is NaN.

    Raises:
        InputError: no run has finished.
    """
    import pandas as pd

    rows = []
    losses: list[tuple[float, pd.Series[float]]] = []
    for (name, size), cell in finished_rows(records).groupby(
        ["architecture", "params_non_embedding"], sort=True
    ):
        best = _best_rate(cell)
        runs = cell[cell["peak_lr"] == best].set_index("seed")
        tried = cell["peak_lr"].unique()
        losses.append((float(str(size)), runs["loss"]))
        rows.append(
            {
                "architecture": str(name),
                "params_non_embedding": size,
                "peak_lr": best,
                "at_edge": len(tried) > 1 and best in (tried.min(), tried.max()),
                "seeds": len(runs),
                "loss": runs["loss"].mean(),
                "run_ids": tuple(runs["run_id"]),
            }
        )
    beside = [
        each for row, each in zip(rows, losses, strict=True) if row["architecture"] == reference
    ]
    pairs = [_behind(size, each, beside) for size, each in losses]
    behind = [mean_with_ends(each, level) for each in pairs]
    table = pd.DataFrame(rows).assign(pairs=pd.Series(pairs))
    return table.join(pd.DataFrame(behind, columns=list(BEHIND)))


def mean_with_ends(pairs: Sequence[float], level: float = 0.9) -> tuple[float, float, float]:
    """The mean of differences and the ends of its interval; NaN where they are not known."""
    if not pairs:
        return np.nan, np.nan, np.nan
    return (float(np.mean(pairs)), *mean_interval(np.array(pairs), level))


def _best_rate(cell: "pd.DataFrame") -> float:
    """The rate of lowest mean loss among the rates with the most seeds."""
    rates = cell.groupby("peak_lr")["loss"].agg(["mean", "count"])
    whole = rates[rates["count"] == rates["count"].max()]
    return float(cast("float", whole["mean"].idxmin()))


def _behind(
    size: float, losses: "pd.Series", beside: "list[tuple[float, pd.Series]]"
) -> tuple[float, ...]:
    """What the loss of each seed is above a reference at its size; empty with too few sizes.

    `beside` are the reference's losses by seed, with the size of each.
    """
    nearest = sorted(beside, key=lambda each: abs(np.log(each[0] / size)))
    if len(nearest) < 2:
        return ()
    (near_size, near), (far_size, far) = nearest[:2]
    share = np.log(size / near_size) / np.log(far_size / near_size)
    logs = np.log(near) + share * (np.log(far) - np.log(near))
    return tuple((losses / np.exp(logs) - 1).dropna())


def losses_by_position(store: "Store", best: "pd.DataFrame") -> dict[str, "pd.DataFrame"]:
    """For each architecture the loss at each position of the context, of its largest size.

    Losses are means over the seeds of the best rate.
    """
    import pandas as pd

    from scaling_jax.trained import load_run

    where = {run.run_id: run.directory for run in store.runs()}
    largest = best.loc[best.groupby("architecture")["params_non_embedding"].idxmax()]
    found = dict[str, pd.DataFrame]()
    for row in largest.to_dict("records"):
        tables = [load_run(where[run]).details().by_position() for run in row["run_ids"]]
        means = pd.concat(tables).groupby("position")["loss"].mean()
        found[str(row["architecture"])] = means.reset_index()
    return found


def architectures_figure(
    best: "pd.DataFrame", positions: dict[str, "pd.DataFrame"], reference: str = REFERENCE
) -> "Figure":
    """Loss against size, and along the context what each architecture loses on the reference.

    The difference by position cancels what makes some positions of the text harder.
    """
    from matplotlib.figure import Figure

    with style.figure_style():
        figure = Figure(figsize=(9.2, 3.8), layout="constrained")
        by_size, by_position = figure.subplots(1, 2)
        names = [reference, *(name for name in positions if name != reference)]
        for name, colour in zip(names, style.APPROACH_COLOURS.values(), strict=False):
            runs = best[best["architecture"] == name]
            by_size.plot(runs["params_non_embedding"], runs["loss"], "o-", color=colour, label=name)
            difference = positions[name]["loss"] - positions[reference]["loss"]
            by_position.plot(positions[name]["position"], _smooth(difference), color=colour)
        _label(by_size, by_position, best, reference)
    return figure


def _label(by_size: "Axes", by_position: "Axes", best: "pd.DataFrame", reference: str) -> None:
    style.log_axis(by_size, "x", style.padded(best["params_non_embedding"]), "count")
    by_size.set_xlabel("parameters without embeddings")
    by_size.set_ylabel("best held-out loss (nats/token)")
    by_size.legend()
    by_position.set_xscale("log")
    by_position.set_xlabel("position in the context")
    by_position.set_ylabel(f"loss minus that of the {reference}")


def _smooth(values: "pd.Series") -> "pd.Series":
    """The mean over neighbouring positions, over more of them at later ones."""
    widths = [max(1, round(0.15 * position)) for position in range(1, len(values) + 1)]
    array = values.to_numpy()
    means = [array[max(0, i - w) : i + w + 1].mean() for i, w in enumerate(widths)]
    return values * 0 + np.array(means)


def _with_percent(best: "pd.DataFrame") -> "pd.DataFrame":
    """The columns that are printed, with the differences from the reference in percent."""
    behind = best[list(BEHIND)].map(lambda x: f"{x:+.2%}" if np.isfinite(x) else "")
    return best[list(COLUMNS)].join(behind)


def answer(store: "Store") -> Answer:
    """The best loss of every size, each architecture at equal size, and losses by position."""
    from scaling_jax.study import collect

    best = best_rates(collect(store))
    lines = [_with_percent(best).to_string(index=False)]
    for name, of_architecture in best.groupby("architecture"):
        pairs = [pair for each in of_architecture["pairs"] for pair in each]
        mean, low, high = mean_with_ends(pairs)
        if name != REFERENCE and np.isfinite(low):
            lines.append(
                f"{name}: {mean:+.2%} ({low:+.2%} to {high:+.2%}) behind the {REFERENCE} at equal "
                f"size, in the mean of {len(pairs)} pairs"
            )
    positions = losses_by_position(store, best)
    for name, table in positions.items():
        quarters = table["loss"].groupby(4 * (table["position"] - 1) // len(table)).mean()
        means = ", ".join(f"{x:.4f}" for x in quarters)
        lines.append(f"{name}: loss by quarter of the context {means}")
    return Answer("\n".join(lines), architectures_figure(best, positions))


main = command(answer)
