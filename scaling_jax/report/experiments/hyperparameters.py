"""The best learning rate and batch of each size and horizon, beside published laws."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.best_settings import LEVEL, Settings, best_settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.config import Shape
    from scaling_jax.study import Store


def published_exponents() -> dict[str, dict[str, tuple[float, float]]]:
    """Powers of N and D of the published laws, of the rate and of the batch.

    >>> published_exponents()["DeepSeek"]["batch"]
    (0.3271, 0.3271)
    """
    from scaling_jax.laws import law_named

    def of(law: str, name: str) -> tuple[float, float]:
        constants = law_named(law).published[name]
        return (constants["n"], constants["d"]) if "n" in constants else (constants["p"],) * 2

    laws = {"rate": "learning-rate", "batch": "batch-size"}
    return {
        "Step Law": {what: of(law, "li-2025") for what, law in laws.items()},
        "DeepSeek": {what: of(f"{law}-flops", "deepseek-2024") for what, law in laws.items()},
        "Porian": {what: of(law, "porian-2024") for what, law in laws.items()},
    }


def by_rules(best: "pd.DataFrame", shapes: "Mapping[float, Shape]") -> "pd.DataFrame":
    """What the published rules give at each size and horizon; batches in tokens."""
    from scaling_jax import study

    table = best[["params", "tokens"]].copy()
    for name, rate, batch in (
        ("Step Law", study.StepLawLR(), study.StepLawBatch()),
        ("DeepSeek", study.DeepSeekLR(), study.DeepSeekBatch()),
        ("Porian", study.PorianLR(), study.PorianBatch()),
    ):
        at = [(shapes[n], d) for n, d in zip(best["params"], best["tokens"], strict=True)]
        table[f"rate {name}"] = [rate(shape, tokens) for shape, tokens in at]
        table[f"batch {name}"] = [batch(shape, tokens) * shape.seq_len for shape, tokens in at]
    return table


def as_text(found: Settings, rules: "pd.DataFrame") -> str:
    """The best settings, what published rules give there, and the exponents of the laws."""
    t = _quantile(found)
    lines = [f"best settings, with intervals at {LEVEL:.0%}"]
    for row in found.best.to_dict("records"):
        cell = f"{formatting.count(row['params'])} parameters, {formatting.count(row['tokens'])}"
        ends = [
            f"{row[value]:.4g} ({row[value] * math.exp(-t * row[error]):.3g} to "
            f"{row[value] * math.exp(t * row[error]):.3g})"
            for value, error in (("peak_lr", "rate_error"), ("batch_tokens", "batch_error"))
        ]
        lines.append(
            f"  {cell} tokens: rate {ends[0]}, batch {ends[1]} tokens, loss {row['loss']:.4f}"
        )
    lines += [f"  no optimum: {reason}" for reason in found.skipped]
    if len(rules):
        lines += [
            "",
            "published rules there",
            rules.to_string(index=False, float_format="{:.4g}".format),
        ]
    lines += ["", "powers of N without embeddings and D"]
    for what, law in (("rate", found.rate_law), ("batch", found.batch_law)):
        if law is None:
            lines.append(f"  {what}: the optima do not determine a law")
        else:
            ours = [
                f"{name} {law.exponents[each]:+.3f} ({law.intervals[each][0]:+.3f} to "
                f"{law.intervals[each][1]:+.3f})"
                for name, each in (("N", "params"), ("D", "tokens"))
            ]
            lines.append(f"  {what}: {', '.join(ours)}")
        for name, laws in published_exponents().items():
            n, d = laws[what]
            lines.append(f"    {name}: N {n:+.3f}, D {d:+.3f}")
    if found.batch_exponent is not None:
        value, low, high = found.batch_exponent
        lines.append(
            f"  rate at one size and horizon: batch {value:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    return "\n".join(lines)


def _quantile(found: Settings) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, max(1, found.rates.freedom)))


def settings_figure(records: "pd.DataFrame", found: Settings, rules: "pd.DataFrame") -> "Figure":
    """Loss against rate by batch for the largest cell, and best rates and batches against D."""
    from matplotlib.figure import Figure

    with style.figure_style():
        figure = Figure(figsize=(12.6, 4.0), layout="constrained")
        sweep, rate, batch = figure.subplots(1, 3)
        _draw_sweep(sweep, records, found)
        _draw_best(rate, found, rules, "rate", "peak_lr", "best peak learning rate")
        _draw_best(batch, found, rules, "batch", "batch_tokens", "best batch (tokens)")
        handles, labels = rate.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)))
    return figure


def _draw_sweep(axes: "Axes", records: "pd.DataFrame", found: Settings) -> None:
    params, tokens = max((n, d) for n, d, _ in found.rates.cells)
    done = records[records["status"] == "finished"]
    rows = done[(done["params"] == params) & (done["requested_tokens"] == tokens)]
    batches = sorted(rows["batch_size"].unique())
    for batch, colour in zip(batches, style.shades(len(batches)), strict=True):
        tried = rows[rows["batch_size"] == batch].groupby("peak_lr")["loss"].mean()
        size = batch * rows["seq_len"].iloc[0]
        axes.plot(
            tried.index, tried, "o-", color=colour, ms=3.5, lw=1.2, label=formatting.count(size)
        )
        optimum = found.rates.cells.get((params, tokens, float(size)))
        if optimum is not None:
            axes.plot(optimum.rate, optimum.loss, "D", color=colour, ms=7, mec="white")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel("loss (nats/token)")
    axes.set_title(
        f"{formatting.count(params)} parameters, {formatting.count(tokens)} tokens", fontsize=11
    )
    axes.legend(title="batch (tokens)", loc="upper left", bbox_to_anchor=(1, 1))


def _draw_best(
    axes: "Axes", found: Settings, rules: "pd.DataFrame", what: str, value: str, label: str
) -> None:
    t, sizes = _quantile(found), sorted(found.best["params"].unique())
    error = {"peak_lr": "rate_error", "batch_tokens": "batch_error"}[value]
    styles = {"Step Law": "^--", "DeepSeek": "s:", "Porian": "v-."}
    for size, colour in zip(sizes, style.shades(len(sizes)), strict=True):
        rows = found.best[found.best["params"] == size]
        y = rows[value].to_numpy(float)
        reach = np.nan_to_num(np.exp(t * rows[error].to_numpy(float)), nan=1.0)
        axes.errorbar(
            rows["tokens"],
            y,
            (y - y / reach, y * reach - y),
            fmt="o",
            color=colour,
            label=f"{formatting.count(size)} parameters",
        )
        there = rules[rules["params"] == size]
        for name, line in styles.items():
            y = there[f"{what} {name}"]
            axes.plot(there["tokens"], y, line, color=colour, lw=1, ms=5, mfc="none")
    if found.best.empty:
        axes.text(0.5, 0.5, "no cell has an optimum", transform=axes.transAxes, ha="center")
    else:
        axes.set_yscale("log")
        style.log_axis(axes, "x", style.padded(found.best["tokens"]), "count")
        for name, line in styles.items():
            axes.plot([], [], line, color=style.MUTED, mfc="none", ms=5, label=name)
    axes.set_xlabel("tokens")
    axes.set_ylabel(label)


def answer(store: "Store") -> Answer:
    """The best settings of each size and horizon, and their laws beside published rules."""
    from scaling_jax.accounting.flops import count_params
    from scaling_jax.study import collect

    records = collect(store)
    found = best_settings(records)
    configs = [run.planned.config for run in store.runs()]
    shapes = {float(count_params(config.shape).total): config.shape for config in configs}
    rules = by_rules(found.best, shapes)
    return Answer(as_text(found, rules), settings_figure(records, found, rules))


main = command(answer)
