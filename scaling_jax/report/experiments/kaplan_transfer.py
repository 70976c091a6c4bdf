"""Losses on other texts against the loss on the training text (Kaplan et al. 2020, figure 8)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.curves import LossToLoss, loss_to_loss
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer, command
from scaling_jax.report.experiments.finished import held_out_curves

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_jax.study import Store


def texts_of(curves: "pd.DataFrame") -> list[str]:
    """The further texts of a table of held-out curves.

    Raises:
        InputError: there is none.
    """
    names = [c.removeprefix("loss_") for c in map(str, curves) if c.startswith("loss_")]
    found = [n for n in names if not n.endswith("stderr") and n != "of"]
    if not found:
        raise InputError(
            "the runs were evaluated only on their own text, so no transfer can be measured: "
            "train with evals in the recipe"
        )
    return found


def transfers(curves: "pd.DataFrame", level: float = 0.9) -> dict[str, LossToLoss]:
    """For each further text the law from the training text's held-out loss to its own.

    Sizes are counted without embeddings. The progress of a checkpoint is the share of its run's
    tokens.

    Args:
        curves: held-out curves, as `scaling_jax.study.curves` gives them.
        level: of the intervals.

    Raises:
        InputError: no further text, or too few checkpoints or runs.
    """
    progress = curves["tokens"] / curves.groupby("run_id")["tokens"].transform("max")
    return {
        name: loss_to_loss(
            curves["loss"].to_numpy(float),
            curves[f"loss_{name}"].to_numpy(float),
            size_N=curves["params_non_embedding"].to_numpy(float),
            progress_N=progress.to_numpy(float),
            run_N=curves["run_id"].to_numpy(),
            level=level,
        )
        for name in texts_of(curves)
    }


def transfer_table(found: Mapping[str, LossToLoss]) -> "pd.DataFrame":
    """A row for each text: the law, its residuals and the slopes that ought to be zero.

    A text whose loss does not fall with that on the training text has no law and no slopes.
    """
    import pandas as pd

    def with_ends(law: LossToLoss, value: float, ends: tuple[float, float]) -> str:
        if not law.fall_together:
            return ""
        return f"{value:+.4f} ({ends[0]:+.4f} to {ends[1]:+.4f})"

    rows = [
        {
            "text": name,
            "other - train": f"{law.offset:.3f} (sd {law.offset_spread:.3f})",
            "law": _law_text(law),
            "rank corr.": f"{law.rank_correlation:+.2f}",
            "rms": f"{law.rms:.4f}" if law.fall_together else "",
            "slope in ln N": with_ends(law, law.size_slope, law.size_slope_interval),
            "in ln progress": with_ends(law, law.progress_slope, law.progress_slope_interval),
        }
        for name, law in found.items()
    ]
    return pd.DataFrame(rows)


def _law_text(law: LossToLoss) -> str:
    if not law.fall_together:
        return "none: the losses do not fall together"
    return f"{law.K:.3g} (L - {law.E0:.3g})^{law.kappa:.3g} + {law.E1:.3g}"


def transfer_figure(curves: "pd.DataFrame", found: Mapping[str, LossToLoss]) -> "Figure":
    """The loss on each text against the loss on the training text: runs by size, and the law.

    Losses that do not fall together have no line.
    """
    from matplotlib.figure import Figure

    sizes = sorted(curves["params_non_embedding"].unique())
    with style.figure_style():
        figure = Figure(figsize=(1.0 + 2.9 * len(found), 3.7), layout="constrained")
        panels = figure.subplots(1, len(found), sharex=True, squeeze=False)[0]
        for axes, (name, law) in zip(panels, found.items(), strict=True):
            for size, colour in zip(sizes, style.shades(len(sizes)), strict=True):
                runs = curves[curves["params_non_embedding"] == size]
                label = f"{formatting.count(size)} parameters"
                axes.plot(runs["loss"], runs[f"loss_{name}"], "o", color=colour, ms=3, label=label)
            train = np.linspace(curves["loss"].min(), curves["loss"].max(), 100)
            if law.fall_together:
                axes.plot(train, law.other_loss(train), color=style.INK, lw=1)
            axes.set_title(name, fontsize=11)
            axes.set_xlabel("loss on the training text")
        panels[0].set_ylabel("loss on the other text (nats/token)")
        handles = panels[0].get_legend_handles_labels()[0]
        style.legend_below(figure, handles, columns=min(4, len(sizes)))
    return figure


def answer(store: "Store") -> Answer:
    """The laws from the loss on the training text to the losses on others."""
    table = held_out_curves(store)
    found = transfers(table)
    return Answer(transfer_table(found).to_string(index=False), transfer_figure(table, found))


main = command(answer)
