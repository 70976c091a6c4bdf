"""Architectures at equal size: the best loss of each, and their losses along the context."""

from typing import TYPE_CHECKING

from scaling_jax.report import style
from scaling_jax.report.experiments.finished import finished_rows
from scaling_jax.report.svg import save_alone

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.study import Store

COLUMNS = ("architecture", "params_non_embedding", "peak_lr", "loss", "loss_stderr", "flops_exact")


def best_runs(records: "pd.DataFrame") -> "pd.DataFrame":
    """The finished run of lowest loss of each architecture and size, by size within architecture.

    The column `at_edge` says whether the best learning rate is the lowest or the highest of several
    that were tried, so that a better one may lie beyond.

    Raises:
        InputError: no run has finished.
    """
    done = finished_rows(records)
    groups = done.groupby(["architecture", "params_non_embedding"], sort=True)
    best = done.loc[groups["loss"].idxmin()].copy()
    ends = groups["peak_lr"].agg(["min", "max"])
    at = best.set_index(["architecture", "params_non_embedding"])["peak_lr"]
    is_end = (at == ends["min"]) | (at == ends["max"])
    best["at_edge"] = (is_end & (ends["min"] < ends["max"])).to_numpy()
    return best


def losses_by_position(store: "Store", best: "pd.DataFrame") -> dict[str, "pd.DataFrame"]:
    """For each architecture the loss at each position of the context, of its largest best run."""
    from scaling_jax.trained import load_run

    where = {run.run_id: run.directory for run in store.runs()}
    largest = best.loc[best.groupby("architecture")["params_non_embedding"].idxmax()]
    return {
        str(run["architecture"]): load_run(where[run["run_id"]]).details().by_position()
        for _, run in largest.iterrows()
    }


def architectures_figure(
    best: "pd.DataFrame", positions: dict[str, "pd.DataFrame"], reference: str = "transformer"
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
    import numpy as np

    widths = [max(1, round(0.15 * position)) for position in range(1, len(values) + 1)]
    array = values.to_numpy()
    means = [array[max(0, i - w) : i + w + 1].mean() for i, w in enumerate(widths)]
    return values * 0 + np.array(means)


def main(root: str, out: str) -> None:
    """Print the best loss of every size of the study at `root`, and draw its figure into `out`."""
    from scaling_jax.study import Store, collect

    store = Store.open(root)
    best = best_runs(collect(store))
    print(best[[*COLUMNS, "at_edge"]].to_string(index=False))
    positions = losses_by_position(store, best)
    for name, table in positions.items():
        quarters = table["loss"].groupby(4 * (table["position"] - 1) // len(table)).mean()
        print(f"{name}: loss by quarter of the context " + ", ".join(f"{x:.4f}" for x in quarters))
    save_alone(architectures_figure(best, positions), out)
