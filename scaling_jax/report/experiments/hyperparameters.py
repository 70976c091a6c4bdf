"""The best learning rate and batch of each size and horizon, beside published laws."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import style
from scaling_jax.report.svg import save_alone

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.config import Shape
    from scaling_jax.laws.approaches.rate_law import RateLaw
    from scaling_jax.laws.approaches.sweep_optimum import RateOptimum, SweepOptima, Trial

K = TypeVar("K", bound=tuple[float, ...])
Cell = tuple[float, float]  # params and requested tokens
_CELL = ["params", "requested_tokens"]
LEVEL = 0.9


@dataclass(frozen=True)
class Settings:
    """The best settings of a sweep.

    Attributes:
        rates: the best rate at each size, horizon and batch in tokens, with the noise of a run.
        best: a row for each size and horizon: `params`, `params_non_embedding`, `tokens`, the best
            `batch_tokens` and the best `peak_lr` there, each with the standard error of its
            logarithm (`batch_error`, `rate_error`), and the `loss`.
        skipped: why a cell has no optimum.
        rate_law, batch_law: powers of N without embeddings and D; None where the cells do not
            determine them.
        batch_exponent: power of the batch by which the best rate grows at one size and horizon, by
            the law over all three; None likewise.
    """

    rates: "SweepOptima[tuple[float, float, float]]"
    best: "pd.DataFrame"
    skipped: tuple[str, ...]
    rate_law: "RateLaw | None"
    batch_law: "RateLaw | None"
    batch_exponent: tuple[float, float, float] | None


def best_settings(records: "pd.DataFrame") -> Settings:
    """The best settings of every size and horizon, and the laws through them.

    A cell whose lowest loss is at an end of its sweep, or that shows no minimum, is skipped.

    Raises:
        InputError: no finished runs, or no batch of any cell has an optimum.
    """
    from scaling_jax.laws.approaches.sweep_optimum import RateOptimum, Trial

    swept: dict[tuple[float, float, float], list[Trial]] = {}
    sequences = records["batch_size"] * records["seq_len"]
    for row, batch in zip(records.to_dict("records"), sequences, strict=True):
        key = (row["params"], row["requested_tokens"], float(batch))
        loss = row["loss"] if row["status"] == "finished" else math.nan
        swept.setdefault(key, []).append(Trial(row["peak_lr"], loss, row["seed"]))
    rates, skipped = _optima(swept, "learning rate")
    if rates is None:
        raise InputError(
            f"no batch of this study has a best learning rate: {skipped[0] if skipped else ''}"
        )
    by_cell: dict[Cell, dict[float, RateOptimum]] = {}
    for (params, tokens, batch), found in rates.cells.items():
        by_cell.setdefault((params, tokens), {})[batch] = found
    batches, more = _optima(
        {
            cell: [Trial(batch, found.loss) for batch, found in each.items()]
            for cell, each in by_cell.items()
        },
        "batch",
    )
    without = dict(zip(records["params"], records["params_non_embedding"], strict=True))
    best = _best(by_cell, batches, without)
    freedom = 0 if batches is None else min(rates.freedom, batches.freedom)
    of_all = _law(
        [
            ((without[params], tokens, batch), found)
            for (params, tokens, batch), found in rates.cells.items()
        ],
        rates.freedom,
        {},
    )
    return Settings(
        rates,
        best,
        (*skipped, *more),
        _law_of(best, "peak_lr", "rate_error", freedom),
        _law_of(best, "batch_tokens", "batch_error", freedom),
        None
        if of_all is None
        else (of_all.exponents["batch_size"], *of_all.intervals["batch_size"]),
    )


def _optima(
    swept: "Mapping[K, Sequence[Trial]]", what: str
) -> "tuple[SweepOptima[K] | None, list[str]]":
    """The optima of the cells that have one, and why the others have none."""
    from scaling_jax.laws.approaches.sweep_optimum import sweep_optima

    usable, skipped = {}, []
    for key, trials in swept.items():
        name = f"{formatting.count(key[0])} parameters, {formatting.count(key[1])} tokens"
        name += f", batch {formatting.count(key[2])}" if len(key) == 3 else ""
        try:
            sweep_optima({name: trials})
        except InputError as error:
            skipped.append(str(error).replace("learning rate", what))
        else:
            usable[key] = trials
    return (sweep_optima(usable) if usable else None), skipped


def _best(
    by_cell: "Mapping[Cell, Mapping[float, RateOptimum]]",
    batches: "SweepOptima[Cell] | None",
    without: Mapping[float, float],
) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for cell, optimum in ({} if batches is None else batches.cells).items():
        tried = sorted(by_cell[cell].items())
        x_K = np.log([batch for batch, _ in tried])
        rate_K = np.log([found.rate for _, found in tried])
        error_K = np.array([found.log_error for _, found in tried])
        x = math.log(optimum.rate)
        after = int(np.clip(np.searchsorted(x_K, x), 1, len(x_K) - 1))
        share = (x - x_K[after - 1]) / (x_K[after] - x_K[after - 1])
        slope = (rate_K[after] - rate_K[after - 1]) / (x_K[after] - x_K[after - 1])
        # Errors of the two rates between which the best one lies, and of where it lies.
        error = math.hypot(
            (1 - share) * error_K[after - 1], share * error_K[after], slope * optimum.log_error
        )
        rows.append(
            {
                "params": cell[0],
                "params_non_embedding": without[cell[0]],
                "tokens": cell[1],
                "peak_lr": math.exp(np.interp(x, x_K, rate_K)),
                "rate_error": error,
                "batch_tokens": optimum.rate,
                "batch_error": optimum.log_error,
                "loss": optimum.loss,
            }
        )
    columns = ["params", "params_non_embedding", "tokens", "peak_lr", "rate_error"]
    columns += ["batch_tokens", "batch_error", "loss"]
    return pd.DataFrame(rows, columns=columns).sort_values(["params", "tokens"])


def _law_of(best: "pd.DataFrame", value: str, error: str, freedom: int) -> "RateLaw | None":
    from scaling_jax.laws.approaches.sweep_optimum import RateOptimum

    optima = [
        (
            (row["params_non_embedding"], row["tokens"], 1.0),
            RateOptimum(row[value], row[error], row["loss"], math.nan, 0),
        )
        for row in best.to_dict("records")
    ]
    return _law(optima, freedom, {"batch_size": 0.0})


def _law(
    optima: "Sequence[tuple[tuple[float, float, float], RateOptimum]]",
    freedom: int,
    assumed: dict[str, float],
) -> "RateLaw | None":
    """A law with intervals; None where the optima do not determine one."""
    from scaling_jax.laws.approaches.rate_law import VARIABLES, fit_rate_law

    named = [(dict(zip(VARIABLES, at, strict=True)), found) for at, found in optima]
    if len(named) <= len(VARIABLES) - len(assumed):
        return None
    try:
        return fit_rate_law(named, freedom, assumed=assumed, level=LEVEL)
    except InputError:
        return None


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
        figure = Figure(figsize=(11.5, 4.0), layout="constrained")
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
    axes.set_xscale("log")
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel("loss (nats/token)")
    axes.set_title(
        f"{formatting.count(params)} parameters, {formatting.count(tokens)} tokens", fontsize=11
    )
    axes.legend(title="batch (tokens)")


def _draw_best(
    axes: "Axes", found: Settings, rules: "pd.DataFrame", what: str, value: str, label: str
) -> None:
    t, sizes = _quantile(found), sorted(found.best["params"].unique())
    error = {"peak_lr": "rate_error", "batch_tokens": "batch_error"}[value]
    styles = {"Step Law": "--", "DeepSeek": ":", "Porian": "-."}
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
            axes.plot(there["tokens"], there[f"{what} {name}"], line, color=colour, lw=1)
    for name, line in styles.items():
        axes.plot([], [], line, color=style.MUTED, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("tokens")
    axes.set_ylabel(label)


def main(root: str, out: str) -> None:
    """Print the best settings of the study at `root` and their laws, and draw them into `out`."""
    from scaling_jax.accounting.flops import count_params
    from scaling_jax.study import Store, collect

    store = Store.open(root)
    records = collect(store)
    found = best_settings(records)
    configs = [run.planned.config for run in store.runs()]
    shapes = {float(count_params(config.shape).total): config.shape for config in configs}
    rules = by_rules(found.best, shapes)
    print(as_text(found, rules))
    save_alone(settings_figure(records, found, rules), out)
