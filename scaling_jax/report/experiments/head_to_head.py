"""Two laws' sizes at equal compute, compared in pairs (Hoffmann et al. 2022, section 4)."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import finished

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.study import Store

# Losses of a run's windows, by held-out set.
Windows = Mapping[str, Mapping[str, np.ndarray]]

_COMPARED = ("law", "optimizer")
OPTIMIZERS = ("adamw", "adam")


def windows_of(store: "Store", records: "pd.DataFrame") -> dict[str, dict[str, np.ndarray]]:
    """For each run the losses of the windows of every held-out set, as the run stored them.

    Raises:
        InputError: a run that stored none.
    """
    from scaling_jax.runs.details import read_details

    found = {}
    wanted = set(records["run_id"])
    for run in store.runs():
        result = run.check_result().result
        if run.run_id in wanted and result is not None:
            if result.details is None:
                raise InputError(
                    f"run {run.run_id} has stored no losses by window: train with "
                    "eval_details=True in the recipe"
                )
            details = read_details(run.directory, result.details)
            found[run.run_id] = {name: np.asarray(d.window_N, float) for name, d in details.items()}
    return found


def differences(
    records: "pd.DataFrame",
    windows: Windows,
    pair: tuple[str, str],
    over: str = "law",
    level: float = 0.9,
) -> "pd.DataFrame":
    """The loss of the first run of a pair minus that of the second, by budget, case and set.

    Runs of one seed that differ in the column `over`, `law` or `optimizer`, are a pair; the case is
    the other of the two columns. The standard error joins the spread of the pairs over seeds with
    the paired error over windows of the seeds' mean; the interval is Student's with the seeds'
    degrees of freedom. With one seed there is no interval.
    `equal_loss` is the compute with which the worse one would reach the better one's loss, as a
    multiple of the budget, by the slope of its log loss in log compute over its own budgets; it
    is given for the runs' own held-out set.

    Args:
        records: finished runs of the study.
        windows: their losses by window.
        pair: the two values of `over` to compare.
        over: the column in which the runs of a pair differ.
        level: of the intervals.

    Raises:
        InputError: no seed of which both runs of a pair have finished.
    """
    import pandas as pd
    from scipy.stats import t

    from scaling_jax.trained.paired import paired_difference

    table, case = _with_law(records), _case(over)
    slopes = {value: _slope(table[table[over] == value]) for value in pair}
    rows = []
    for key, pairs in _pairs(table, pair, over, case, ["seed"]):
        for name in windows[str(pairs.iloc[0, 0])]:
            a_RxN, b_RxN = (np.stack([windows[run][name] for run in pairs[each]]) for each in pair)
            by_seed = (a_RxN - b_RxN).mean(axis=1)
            paired = paired_difference(a_RxN.mean(axis=0), b_RxN.mean(axis=0), *pair, name)
            n = len(by_seed)
            of_seeds = by_seed.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
            stderr = math.hypot(of_seeds, paired.stderr)
            reach = float(t.ppf((1 + level) / 2, n - 1)) * stderr if n > 1 else math.nan
            worse = pair[0] if paired.difference > 0 else pair[1]
            gap = abs(math.log(paired.loss_a / paired.loss_b))
            rows.append(
                dict(zip(case, key, strict=True))
                | {"set": name, "seeds": n}
                | {f"loss_{pair[0]}": paired.loss_a, f"loss_{pair[1]}": paired.loss_b}
                | {"difference": paired.difference, "stderr": stderr}
                | {"low": paired.difference - reach, "high": paired.difference + reach}
                | {
                    "worse": worse,
                    "equal_loss": math.exp(gap / slopes[worse])
                    if name == "held_out" and slopes[worse] > 0
                    else math.nan,
                }
            )
    if not rows:
        raise InputError(
            f"no seed has finished runs of both {pair[0]} and {pair[1]}: train the study first"
        )
    return pd.DataFrame(rows)


def mean_differences(
    records: "pd.DataFrame",
    windows: Windows,
    pair: tuple[str, str],
    over: str = "law",
    level: float = 0.9,
) -> "pd.DataFrame":
    """The share by which the first loss of a pair lies above the second, over budgets and seeds.

    A row for each case and set: the mean of ln(first / second) over the pairs of `differences`,
    with Student's interval over the pairs, which takes in how it varies with the budget.

    Args:
        records, windows, pair, over: as for `differences`.
        level: of the intervals.
    """
    import pandas as pd

    from scaling_jax.report.experiments.finished import mean_interval

    table = _with_law(records)
    (case,) = (name for name in _COMPARED if name != over)
    rows = []
    for key, pairs in _pairs(table, pair, over, case, ["budget", "seed"]):
        for name in windows[str(pairs.iloc[0, 0])]:
            a_R, b_R = (
                np.array([windows[run][name].mean() for run in pairs[each]]) for each in pair
            )
            ratios_R = np.log(a_R / b_R)
            low, high = mean_interval(ratios_R, level)
            found = {"set": name, "pairs": len(pairs), "share": ratios_R.mean()}
            rows.append({case: key} | found | {"low": low, "high": high})
    return pd.DataFrame(rows)


def _pairs(
    table: "pd.DataFrame", pair: tuple[str, str], over: str, by: str | list[str], of: list[str]
) -> "Iterator[tuple[Any, pd.DataFrame]]":
    """For each group `by` the ids of both runs of every pair, a row for each value of `of`."""
    for key, runs in table.groupby(by):
        pairs = runs.pivot_table(index=of, columns=over, values="run_id", aggfunc="first")
        pairs = pairs.reindex(columns=list(pair)).dropna()
        if len(pairs):
            yield key, pairs


def _with_law(records: "pd.DataFrame") -> "pd.DataFrame":
    """The records with the law that a run's size comes from, the last part of its variation."""
    return records.assign(law=records["variation"].map(lambda name: name.rpartition(", ")[2]))


def _case(over: str) -> list[str]:
    return ["budget", *(name for name in _COMPARED if name != over)]


def task_differences(
    records: "pd.DataFrame", laws: tuple[str, str], level: float = 0.9
) -> "pd.DataFrame":
    """The accuracy of the first law's size minus that of the second's, by budget, optimizer, task.

    The interval is Student's over the pairs of a seed. Empty where no task was scored.
    """
    import pandas as pd

    from scaling_jax.report.experiments.finished import mean_interval

    table, case = _with_law(records), _case("law")
    tasks = [c.removeprefix("chance_") for c in map(str, table) if c.startswith("chance_")]
    rows = []
    for key, runs in table.groupby(case):
        for task in tasks:
            by_law = runs.pivot_table(index="seed", columns="law", values=f"acc_{task}")
            by_seed = (by_law[laws[0]] - by_law[laws[1]]).dropna().to_numpy(float)
            low, high = mean_interval(by_seed, level)
            found = {"task": task, "seeds": len(by_seed), "difference": by_seed.mean()}
            rows.append(dict(zip(case, key, strict=True)) | found | {"low": low, "high": high})
    return pd.DataFrame(rows)


def head_to_head_figure(found: "pd.DataFrame", laws: tuple[str, str]) -> "Figure":
    """The differences against the budget, a panel for each held-out set, a line per optimizer."""
    from matplotlib.figure import Figure

    sets, optimizers = (list(dict.fromkeys(found[name])) for name in ("set", "optimizer"))
    with style.figure_style():
        figure = Figure(figsize=(1.0 + 3.4 * len(sets), 3.8), layout="constrained")
        panels = figure.subplots(1, len(sets), squeeze=False)[0]
        for axes, name in zip(panels, sets, strict=True):
            for i, optimizer in enumerate(optimizers):
                runs = found[(found["set"] == name) & (found["optimizer"] == optimizer)]
                at = runs["budget"] * 1.03**i
                colour = style.APPROACH_COLOURS[1 + 2 * i]
                axes.plot(at, runs["difference"], "o-", color=colour, ms=5, lw=1.3, label=optimizer)
                axes.vlines(at, runs["low"], runs["high"], color=colour)
            axes.axhline(0, color=style.FAINT, lw=1, zorder=0)
            style.log_axis(axes, "x", style.padded(found["budget"], 1.3), "flops")
            axes.set_title(name.replace("_", "-"), fontsize=11)
            axes.set_xlabel("training FLOPs")
        panels[0].set_ylabel(
            f"loss of {laws[0].title()}'s size\nless {laws[1].title()}'s (nats/token)"
        )
        handles = panels[0].get_legend_handles_labels()[0]
        style.legend_below(figure, handles, columns=len(optimizers))
    return figure


def _slope(runs: "pd.DataFrame") -> float:
    """Fall of log loss with log compute along a law's own budgets; NaN for a single budget."""
    if runs["budget"].nunique() < 2:
        return math.nan
    x, y = np.log(runs["flops"].to_numpy(float)), np.log(runs["loss"].to_numpy(float))
    return -float(np.polyfit(x, y, 1)[0])


def answer(store: "Store") -> Answer:
    """The differences between the sizes of two laws, and between two optimizers."""
    pair = ("hoffmann", "kaplan")
    records = finished(store)
    windows = windows_of(store, records)
    found = differences(records, windows, pair)
    lines = [_text(found), _means_text(mean_differences(records, windows, pair), pair)]
    tasks = task_differences(records, pair)
    if len(tasks):
        lines.append("\naccuracy on tasks, first law less second:")
        lines.append(tasks.to_string(index=False, float_format="{:.3g}".format))
    if records["optimizer"].nunique() > 1:
        lines.append("\nAdamW less Adam, on the same size:")
        lines.append(_text(differences(records, windows, OPTIMIZERS, "optimizer")))
        means = mean_differences(records, windows, OPTIMIZERS, "optimizer")
        lines.append(_means_text(means, OPTIMIZERS))
    return Answer("\n".join(lines), head_to_head_figure(found, pair))


def _means_text(found: "pd.DataFrame", pair: tuple[str, str]) -> str:
    return (
        f"\nshare by which the loss of {pair[0]} lies above that of {pair[1]}, over all budgets:\n"
        + found.to_string(index=False, float_format="{:.4f}".format)
    )


def _text(found: "pd.DataFrame") -> str:
    shown = found.assign(budget=found["budget"].map(formatting.flops))
    return str(shown.to_string(index=False, float_format="{:.4g}".format))


main = command(answer)
