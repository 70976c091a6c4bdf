"""Laws of one ladder on several kinds of data, beside each other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import finished

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.laws import Fit
    from scaling_jax.study import Store

_SHOWN = ("E", "alpha", "beta")
_DRAWN = 100  # FLOP values of a line


def finished_by_corpus(store: "Store") -> dict[str, "pd.DataFrame"]:
    """The records of the finished runs of each corpus, in the order of the names.

    Raises:
        InputError: no run has finished.
    """
    return {str(corpus): runs for corpus, runs in finished(store).groupby("corpus")}


def fits_by_corpus(records: Mapping[str, "pd.DataFrame"], bootstrap: int = 200) -> dict[str, "Fit"]:
    """L(N, D) = E + A / N^alpha + B / D^beta of each corpus.

    Raises:
        InputError: a corpus has too few runs for a law.
    """
    from scaling_jax import laws

    return {name: laws.fit(runs, bootstrap=bootstrap) for name, runs in records.items()}


def exponent_table(fits: Mapping[str, "Fit"]) -> "pd.DataFrame":
    """A row for each corpus: constants and exponents of the law, each with its interval.

    `a` is the exponent of the optimal size, N_opt ~ C^a, and `gamma` = alpha beta / (alpha + beta)
    that of the optimal loss above its floor, L - E ~ C^-gamma. Both are left blank where the loss
    rises with size or data, so that there is no optimum.
    """
    import pandas as pd

    rows = []
    for corpus, fit in fits.items():
        values = {name: fit.params[name] for name in _SHOWN}
        ends = {name: (fit.intervals or {}).get(name) for name in _SHOWN}
        if not fit.without_optimum:
            values |= {"a": fit.exponents["a"], "gamma": _gamma(values["alpha"], values["beta"])}
            ends |= {
                "a": (fit.exponent_intervals or {}).get("a"),
                "gamma": _gamma_interval(fit),
            }
        rows.append({"corpus": corpus} | {n: _cell(v, ends[n]) for n, v in values.items()})
    return pd.DataFrame(rows).fillna("")


def approach_table(
    records: Mapping[str, "pd.DataFrame"], curves: "pd.DataFrame", bootstrap: int = 200
) -> "pd.DataFrame":
    """Exponents of the optimal size and tokens of each corpus by each approach (table A2).

    A row has the corpus, the approach of Hoffmann et al. 2022, and `a` of N_opt ~ C^a and `b` of
    D_opt ~ C^b with their intervals, or in `refused` why the runs do not allow the approach.

    Args:
        records: finished runs by corpus.
        curves: losses along all of them, which approach 1 reads.
        bootstrap: resamples of each fit.
    """
    import pandas as pd

    from scaling_jax.laws.comparison import APPROACHES, compare

    rows = []
    for corpus, runs in records.items():
        own = curves[curves["run_id"].isin(runs["run_id"])]
        found = compare(runs, training_curves=own, bootstrap=bootstrap)
        for approach in APPROACHES:
            row: dict[str, object] = {"corpus": corpus, "approach": approach}
            if approach in found.fits:
                fit = found.fits[approach]
                ends = fit.exponent_intervals or {}
                row |= {n: _cell(v, ends.get(n)) for n, v in fit.exponents.items() if n in "ab"}
            else:
                row["refused"] = found.refused[approach]
            rows.append(row)
    return pd.DataFrame(rows, columns=["corpus", "approach", "a", "b", "refused"]).fillna("")


def reducible_figure(records: Mapping[str, "pd.DataFrame"], fits: Mapping[str, "Fit"]) -> "Figure":
    """Loss above the fitted floor against FLOPs: runs, and the optimum of each law."""
    from matplotlib.figure import Figure

    with style.figure_style():
        figure = Figure(figsize=(7.4, 4.2), layout="constrained")
        axes = figure.subplots()
        every, heights = [], []
        for (name, runs), colour in zip(records.items(), style.shades(len(records)), strict=True):
            fit = fits[name]
            above = runs["loss"] - fit.params["E"]
            axes.plot(runs["flops"], above, "o", color=colour, markersize=3.5, alpha=0.7)
            flops = np.geomspace(runs["flops"].min(), runs["flops"].max(), _DRAWN)
            if fit.without_optimum:
                flops = flops[:0]
            best = [float(fit.optimal(each).loss or np.nan) - fit.params["E"] for each in flops]
            axes.plot(flops, best, color=colour, label=name.partition("?")[0])
            every += [runs["flops"].min(), runs["flops"].max()]
            heights += [above[above > 0].min(), above.max()]
        style.log_axis(axes, "x", style.padded(np.array(every), 1.2), "flops")
        style.log_axis(axes, "y", style.padded(np.array(heights), 1.2), "loss")
        axes.set_xlabel("training FLOPs")
        axes.set_ylabel("loss above the fitted floor (nats/token)")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _gamma(alpha: float, beta: float) -> float:
    return alpha * beta / (alpha + beta)


def _gamma_interval(fit: "Fit") -> tuple[float, float] | None:
    if fit.draws_BxP is None:
        return None
    names = list(fit.params)
    alpha_B, beta_B = (fit.draws_BxP[:, names.index(name)] for name in ("alpha", "beta"))
    outside = (1 - fit.level) / 2
    low, high = np.quantile(alpha_B * beta_B / (alpha_B + beta_B), [outside, 1 - outside])
    return float(low), float(high)


def _cell(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + ("" if ends is None else f" ({ends[0]:.3f} to {ends[1]:.3f})")


def answer(store: "Store") -> Answer:
    """The exponents of each corpus by every approach."""
    from scaling_jax.study import curves

    records = finished_by_corpus(store)
    fits = fits_by_corpus(records)
    found = approach_table(records, curves(store, of="training"))
    lines = [
        exponent_table(fits).to_string(index=False),
        "\nN_opt ~ C^a and D_opt ~ C^b by the three approaches:",
        found.drop(columns="refused").to_string(index=False),
    ]
    lines += [
        f"{row['corpus']}, approach {row['approach']}: {row['refused']}"
        for row in found[found["refused"] != ""].to_dict("records")
    ]
    return Answer("\n".join(lines), reducible_figure(records, fits))


main = command(answer)
