"""The best learning rate and batch of each size and horizon of a sweep, and laws through them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import LEVEL

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws.approaches.rate_law import RateLaw
    from scaling_jax.laws.approaches.sweep_optimum import RateOptimum, SweepOptima, Trial

K = TypeVar("K", bound=tuple[float, ...])
Cell = tuple[float, float]  # params and requested tokens


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
            plural = "batches" if what == "batch" else f"{what}s"
            text = str(error).replace("learning rates", plural)
            skipped.append(text.replace("learning rate", what))
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
