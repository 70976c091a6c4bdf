"""Least losses over sizes and unique tokens, and overfitting (Kaplan et al. 2020, figures 4, 9)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting, laws
from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.overfitting import (
    data_needed,
    data_ratio,
    overfitting,
    stopping_bound,
)
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import constants_text, finished
from scaling_jax.report.experiments.steps_law import fit_steps_law

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.laws import Fit
    from scaling_jax.study import Store

# The overfitting that equation 4.4 allows: about the spread of the paper's losses between seeds.
EXCESS = 0.02


def least_losses(records: "pd.DataFrame") -> "pd.DataFrame":
    """The least held-out loss of every run, and what its data cost it.

    `params` are without embeddings, `tokens` are unique, `loss` is the least along the run and
    `stopped` the step at which it was. `excess` is the loss relative to the run of the same size
    and seed on unlimited data, minus 1; that run's loss is `unlimited`. `falling` marks runs whose
    lowest loss is at their end, so that they were not stopped by their data.

    Args:
        records: finished runs with held-out curves, as `collect` gives them.

    Raises:
        InputError: runs without a held-out curve, or no run on unlimited data.
    """
    if "loss_least" not in records or records["loss_least"].isna().any():
        raise InputError(
            "some runs have no held-out curve, so they cannot be stopped early: train with "
            "eval_every in the recipe"
        )
    found = records[["run_id", "seed"]].assign(
        params=records["params_non_embedding"],
        tokens=records["unique_tokens"],
        loss=records["loss_least"],
        steps=records["steps"],
        stopped=records["loss_least_tokens"] / (records["batch_size"] * records["seq_len"]),
        falling=records["loss_least_tokens"] >= records["tokens"],
        limited=records["unique_tokens_limit"].notna(),
    )
    free = found[~found["limited"]]
    if free.empty:
        raise InputError(
            "no run was trained on unlimited data, to which the others are compared: add None to "
            "the values of data.unique_tokens"
        )
    found = found.merge(
        free[["params", "seed", "loss"]].rename(columns={"loss": "unlimited"}),
        on=["params", "seed"],
        how="left",
    )
    found["excess"] = found["loss"] / found["unlimited"] - 1
    return found.sort_values(["params", "tokens", "seed"], ignore_index=True)


def fit_size_and_data(least: "pd.DataFrame", bootstrap: int = 200) -> "Fit":
    """L(N, D) of equation 1.5, fitted to the least losses of `least_losses`.

    Raises:
        InputError: too few runs for the law.
    """
    table = least[["params", "tokens", "loss"]].assign(params_non_embedding=least["params"])
    return laws.fit(table, law="kaplan", count="non_embedding", bootstrap=bootstrap)


def needs_table(fit: "Fit", params: np.ndarray, excess: float = EXCESS) -> "pd.DataFrame":
    """For each size the unique tokens at which overfitting costs the share `excess`."""
    import pandas as pd

    needed = data_needed(fit.params, params, excess)
    table = pd.DataFrame({"params": params, "tokens needed": needed})
    if fit.draws_BxP is not None:
        drawn = dict(zip(fit.params, fit.draws_BxP.T[:, :, None], strict=True))
        with np.errstate(all="ignore"):
            of_draws = np.asarray(data_needed(drawn, params[None, :], excess))
        outside = (1 - fit.level) / 2
        low, high = np.quantile(of_draws, [outside, 1 - outside], axis=0)
        table = table.assign(low=low, high=high)
    return table


def stopping_table(least: "pd.DataFrame", steps_law: Mapping[str, float]) -> "pd.DataFrame":
    """The step at which each run was stopped by its data, beside the bound of equation 5.7.

    Runs whose loss was still falling at their end, and runs that lose nothing, are left out.
    """
    stopped = least[least["limited"] & ~least["falling"] & (least["excess"] > 0)]
    bound = stopping_bound(steps_law, stopped["loss"].to_numpy(), stopped["unlimited"].to_numpy())
    columns = ["params", "tokens", "seed", "loss", "stopped"]
    return stopped[columns].assign(bound=bound, holds=stopped["stopped"] >= bound)


def overfitting_figure(least: "pd.DataFrame", fit: "Fit") -> "Figure":
    """Least losses against unique tokens by size, and overfitting against its one variable."""
    from matplotlib.figure import Figure

    sizes = sorted(least["params"].unique())
    with style.figure_style():
        figure = Figure(figsize=(9.4, 3.9), layout="constrained")
        losses, excess = figure.subplots(1, 2)
        limited = least[least["limited"]]
        for size, colour in zip(sizes, style.shades(len(sizes)), strict=True):
            runs, some = least[least["params"] == size], limited[limited["params"] == size]
            label = f"{formatting.count(size)} parameters"
            losses.plot(runs["tokens"], runs["loss"], "o", color=colour, ms=4, label=label)
            tokens = np.geomspace(least["tokens"].min(), least["tokens"].max(), 100)
            losses.plot(tokens, _loss(fit, size, tokens), color=colour, lw=1)
            ratio = data_ratio(fit.params, some["params"].to_numpy(), some["tokens"].to_numpy())
            excess.plot(ratio, 100 * some["excess"], "o", color=colour, ms=4)
        ratio = data_ratio(fit.params, limited["params"].to_numpy(), limited["tokens"].to_numpy())
        line = np.geomspace(ratio.min(), ratio.max(), 100)
        excess.plot(
            line, 100 * np.expm1(fit.params["alpha_D"] * np.log1p(line)), color=style.INK, lw=1
        )
        style.log_axis(losses, "x", style.padded(least["tokens"]), "count")
        losses.set_xlabel("unique tokens")
        losses.set_ylabel("least held-out loss (nats/token)")
        excess.set_xscale("log")
        excess.set_xlabel("(N / N_c)^(alpha_N / alpha_D) D_c / D")
        excess.set_ylabel("loss above that on unlimited data (%)")
        handles = losses.get_legend_handles_labels()[0]
        style.legend_below(figure, handles, columns=min(4, len(sizes)))
    return figure


def _loss(fit: "Fit", params: float, tokens: np.ndarray) -> np.ndarray:
    p = fit.params
    return np.asarray((p["A"] / params ** p["rho"] + p["B"] / tokens) ** p["alpha_D"])


def answer(store: "Store") -> Answer:
    """The law of size and unique tokens, the data that each size needs, and where runs stop."""
    from scaling_jax.study import curves

    least = least_losses(finished(store))
    fit = fit_size_and_data(least)
    sizes = np.array(sorted(least["params"].unique()), float)
    free = least.loc[~least["limited"], "run_id"]
    table = curves(store, of="held_out")
    steps_law = fit_steps_law(table[table["run_id"].isin(free)], bootstrap=0)
    stops = stopping_table(least, steps_law.params)
    predicted = overfitting(fit.params, least["params"].to_numpy(), least["tokens"].to_numpy())
    limited = least["limited"].to_numpy()
    error = least["excess"].to_numpy()[limited] - predicted[limited]
    lines = (
        "L(N, D) = (A / N^rho + B / D)^alpha_D, N without embeddings, D unique tokens:",
        constants_text(fit),
        f"alpha_N = rho alpha_D = {fit.params['rho'] * fit.params['alpha_D']:.3g}",
        f"\nunique tokens at which overfitting costs {EXCESS:.0%} of the loss:",
        needs_table(fit, sizes).to_string(index=False, float_format="{:.4g}".format),
        "\nstep of the lowest loss, and the bound S_c / (L(N, D) - L(N, inf))^(1 / alpha_S):",
        stops.to_string(index=False, float_format="{:.4g}".format),
        f"the bound holds for {stops['holds'].sum()} of {len(stops)} runs",
        "overfitting: measured minus the law's, root mean square "
        f"{float(np.sqrt((error**2).mean())):.3g}",
    )
    return Answer("\n".join(lines), overfitting_figure(least, fit))


main = command(answer)
