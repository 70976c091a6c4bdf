"""L(N, S), sample efficiency and efficient training (Kaplan et al. 2020, figures 4 and 19)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.efficient_training import EfficientTraining, efficient_training
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer
from scaling_jax.report.experiments.crossing import (
    draws,
    find_crossing,
    frontier_at_one_batch,
    frontier_text,
)
from scaling_jax.report.experiments.finished import constants_text, finished, held_out_curves
from scaling_jax.report.experiments.kaplan_size_and_data import fit_size_and_data, least_losses
from scaling_jax.report.experiments.steps_law import fit_steps_law

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.laws import Fit
    from scaling_jax.study import Store

_SIZE = "params_non_embedding"
# An interval whose ends differ by a larger factor determines nothing.
_DETERMINED = 10.0


def tokens_to_losses(curves: "pd.DataFrame", n: int = 5) -> "pd.DataFrame":
    """The tokens after which each run first reaches each of `n` losses; NaN where it does not.

    Tokens are interpolated between points of the held-out curve, in the log of the tokens. The
    losses lie evenly between the highest loss after the first tenth and the least of all. Rows are
    runs, smallest first, with their size without embeddings and FLOPs to each loss beside.
    """
    import pandas as pd

    longest = curves.groupby("run_id")["tokens"].transform("max")
    after = curves[curves["tokens"] >= 0.1 * longest]
    targets = np.linspace(after["loss"].max(), after["loss"].min(), n + 2)[1:-1]
    rows = []
    for run_id, run in curves.sort_values("tokens").groupby("run_id"):
        per_token = (run["flops"] / run["tokens"]).iloc[-1]
        for target in targets:
            tokens = _first(run["tokens"].to_numpy(float), run["loss"].to_numpy(float), target)
            row = {"run_id": run_id, "params": run[_SIZE].iloc[0], "loss": target}
            rows.append(row | {"tokens": tokens, "flops": tokens * per_token})
    return pd.DataFrame(rows).sort_values(["loss", "params"], ascending=False, ignore_index=True)


def curve_figure(curves: "pd.DataFrame", fit: "Fit") -> "Figure":
    """Held-out curves with the law, and the tokens to a loss against the size."""
    from matplotlib.figure import Figure

    sizes = sorted(curves[_SIZE].unique())
    reached = tokens_to_losses(curves).dropna()
    with style.figure_style():
        figure = Figure(figsize=(9.4, 3.9), layout="constrained")
        learning, efficiency = figure.subplots(1, 2)
        for size, colour in zip(sizes, style.shades(len(sizes)), strict=True):
            of_size = curves[curves[_SIZE] == size].sort_values("step")
            label = f"{formatting.count(size)} parameters"
            learning.plot(of_size["step"], of_size["loss"], "o", color=colour, ms=3, label=label)
            steps = np.geomspace(0.1 * of_size["step"].max(), of_size["step"].max(), 50)
            p = fit.params
            law = p["A"] / size ** p["alpha_N"] + p["B"] / steps ** p["alpha_S"]
            learning.plot(steps, law, color=colour, lw=1.2)
        losses = sorted(reached["loss"].unique(), reverse=True)
        for loss, colour in zip(losses, style.shades(len(losses)), strict=True):
            mean = reached[reached["loss"] == loss].groupby("params")["tokens"].mean()
            efficiency.plot(mean.index, mean, "o-", color=colour, ms=4, lw=1.2, label=f"{loss:.2f}")
        style.log_axis(learning, "x", style.padded(curves["step"], 1.1), "count")
        style.log_axis(efficiency, "x", style.padded(sizes), "count")
        style.log_axis(efficiency, "y", style.padded(reached["tokens"]), "count")
        learning.set_xlabel("steps")
        learning.set_ylabel("held-out loss (nats/token)")
        efficiency.set_xlabel("parameters without embeddings")
        efficiency.set_ylabel("tokens to the loss")
        efficiency.legend(title="loss", loc="upper left", bbox_to_anchor=(1, 1))
        handles = learning.get_legend_handles_labels()[0]
        style.legend_below(figure, handles, columns=min(3, len(sizes)))
    return figure


def efficient_text(steps: "Fit") -> str:
    """What efficient training saves by L(N, S), with intervals over the law's resamples.

    Resamples with an exponent that is not positive count as unknown at both ends of an interval.
    """
    found = efficient_training(steps.params["alpha_N"], steps.params["alpha_S"])
    drawn = [_drawn_training(each) for each in draws(steps)]

    def shown(name: str, style: str) -> str:
        text = format(getattr(found, name), style)
        if not drawn:
            return text
        low, high = _interval(drawn, name, steps.level)
        return f"{text} ({low:{style}} to {high:{style}})"

    text = (
        f"by this law efficient training stops {shown('excess', '.1%')} above its converged loss; "
        f"beside stopping {found.converged_excess:.0%} above it, for the same loss, the model is "
        f"{shown('size_ratio', '.3g')} times as large, for {shown('steps_ratio', '.3g')} of the "
        f"steps and {shown('compute_ratio', '.3g')} of the compute"
    )
    if drawn:
        low, high = _interval(drawn, "excess", steps.level)
        if high > _DETERMINED * low:
            text += "\nthe curves do not determine when to stop: the interval is too wide"
    return text


def _drawn_training(constants: Mapping[str, float]) -> EfficientTraining | None:
    try:
        return efficient_training(constants["alpha_N"], constants["alpha_S"])
    except InputError:
        return None


def _interval(
    drawn: Sequence[EfficientTraining | None], name: str, level: float
) -> tuple[float, float]:
    low, high = (
        # No interpolation, since some values are infinite.
        np.quantile(
            [at if each is None else getattr(each, name) for each in drawn], q, method="nearest"
        )
        for at, q in ((0.0, (1 - level) / 2), (np.inf, (1 + level) / 2))
    )
    return float(low), float(high)


def _first(tokens_T: np.ndarray, loss_T: np.ndarray, target: float) -> float:
    below = np.flatnonzero(loss_T <= target)
    if not len(below) or below[0] == 0:
        return float("nan")
    i = below[0]
    share = (loss_T[i - 1] - target) / (loss_T[i - 1] - loss_T[i])
    logs = np.log(tokens_T[i - 1 : i + 1])
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))


def answer(store: "Store", size_and_data: "Store | None" = None) -> Answer:
    """L(N, S), its optimum at this batch, tokens to losses and what convergence costs.

    With the results of `kaplan_size_and_data.py`, also the crossing of L(C) with L(D(C)).
    """
    table = held_out_curves(store)
    fit = fit_steps_law(table)
    tokens_per_step = float((table["tokens"] / table["step"]).median())
    reached = tokens_to_losses(table)
    wide = reached.pivot_table(index="params", columns="loss", values="tokens", dropna=False)
    lines = [
        "L(N, S) = A / N^alpha_N + B / S^alpha_S, N without embeddings:",
        constants_text(fit),
        frontier_text(table, frontier_at_one_batch(fit.params, tokens_per_step)),
        "\ntokens to each loss, by parameters without embeddings (mean over seeds):",
        wide.to_string(float_format="{:.3g}".format),
        f"\n{efficient_text(fit)}",
    ]
    if size_and_data is not None:
        least = least_losses(finished(size_and_data))
        try:
            crossed = find_crossing(fit, tokens_per_step, fit_size_and_data(least))
            lines.append(f"\nL(C) meets L(D(C)) at {crossed}")
        except InputError as error:
            lines.append(f"\nL(C) does not meet L(D(C)): {error}")
    return Answer("\n".join(lines), curve_figure(table, fit))


def main(root: str, out: str, size_and_data: str | None = None) -> None:
    """Print the answer of the study at `root`, and draw it into `out`.

    With the results of `kaplan_size_and_data.py` at `size_and_data`, the crossing of L(C) with
    L(D(C)) is printed too.
    """
    from scaling_jax.study import Store

    other = None if size_and_data is None else Store.open(size_and_data)
    answer(Store.open(root), other).show(out)
