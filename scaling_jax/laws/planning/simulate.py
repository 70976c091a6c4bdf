"""Simulated studies: losses by a known law with noise, and the fits of many such studies.

Fits of approach 3 start at the true law, which a simulation knows, so that all studies and all
their resamples go through the solver together. That saves the search for the global optimum; the
noise has its full effect. Where a term of the law vanishes in some study, its fits and refits start
at several sizes of the term besides. The first study is also fitted from many starts, as a real one
is.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.conventions import (
    BEYOND,
    FLOPS_PER_PARAM_TOKEN,
    LEVEL,
    PARAMS_COLUMN,
)
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.options import Options, Resampling
from scaling_jax.laws.planning.answers import ANSWERS, Target
from scaling_jax.laws.planning.known import KnownLaw
from scaling_jax.laws.planning.noise import Noise, measured_losses, scatter
from scaling_jax.laws.planning.other_forms import form_errors
from scaling_jax.laws.planning.simulated_fits import fit_laws, fit_table

if TYPE_CHECKING:
    import pandas as pd


def simulate_losses(
    cells: "pd.DataFrame", law: KnownLaw, noise: Noise, seed: int
) -> "pd.DataFrame":
    """The cells (columns params, tokens) with the losses that a study of them could measure.

    One row per cell and seed of the noise; `flops` are 6 N D where the cells have none.

    Raises:
        InputError: columns missing, or sizes and tokens that are not positive.
    """
    return _table(cells, _losses(cells, law, noise, 1, np.random.default_rng(seed))[0])


@dataclass(frozen=True)
class Simulation:
    """Estimates and intervals of many simulated studies of one design.

    Attributes:
        flops: the budget of the optima and losses.
        level: of the intervals.
        truth: quantity -> its true value: exponents `a` and `b`; `params`, `tokens` and `loss`
            of the optimum.
        studies: one row per study: `x`, `x_low`, `x_high` for every quantity x; `measured` is
            the loss of one more run at the optimum, with its prediction interval.
        refused: reason -> number of studies that could not be fitted.
        training_flops: cost of one study.
        form: quantity -> the largest error of its estimate where losses follow a law of another
            form, as far as the noise hides it (`other_forms`): of logs for sizes and tokens, else a
            difference. Empty for approach 2, which fits no law of the loss.
        unit: of the loss; empty where it is not known.
    """

    flops: float
    level: float
    truth: Mapping[str, float]
    studies: "pd.DataFrame"
    refused: Mapping[str, int]
    training_flops: float
    unit: str
    form: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        from scaling_jax.laws.planning import simulation_text as text

        lines = [str(text.simulation_table(self)), *text.simulation_sentences(self)]
        return "\n".join([*(note.line for note in text.simulation_notes(self)), *lines])

    def summary(self) -> "pd.DataFrame":
        """One row per quantity, named in the index.

        Columns: `truth` (NaN for a measured loss, which varies); `low` and `high`, between which
        the estimates of `level` of the studies lie; `error`, the bound on the error of the same
        share of estimates, in log for sizes and tokens, else as a difference; `width`, the mean
        width of the studies' intervals, on the same scale (median for sizes and tokens, whose
        intervals may be unbounded); `coverage`, the share of intervals that contain the truth;
        `form`, the error of the form on the scale of `error`, NaN where there is none.
        """
        import pandas as pd

        names = [name for name in (*self.truth, "measured") if f"{name}_low" in self.studies]
        return pd.DataFrame({name: self._row(name) for name in names}).T

    def _row(self, name: str) -> dict[str, float]:
        value, low, high = (
            self.studies[name + end].to_numpy(np.float64) for end in ("", "_low", "_high")
        )
        truth = value if name == "measured" else np.full(len(value), self.truth[name])
        estimate = self.studies["loss"].to_numpy(np.float64) if name == "measured" else value
        in_logs = name in ("params", "tokens")
        scale: Callable[[np.ndarray], np.ndarray] = np.log if in_logs else np.asarray
        with np.errstate(all="ignore"):
            error, width = np.abs(scale(estimate) - scale(truth)), scale(high) - scale(low)
        ends = np.quantile(estimate, [(1 - self.level) / 2, (1 + self.level) / 2])
        return {
            "truth": self.truth.get(name, np.nan),
            "low": float(ends[0]),
            "high": float(ends[1]),
            "error": float(np.quantile(error, self.level)),
            "width": float(np.median(width) if in_logs else np.mean(width)),
            "coverage": float(np.mean((low <= truth) & (truth <= high))),
            "form": self.form.get("loss" if name == "measured" else name, np.nan),
        }


def simulate_study(
    cells: "pd.DataFrame",
    law: KnownLaw,
    *,
    noise: Noise,
    n_studies: int = 200,
    approach: int = 3,
    bootstrap: int = 200,
    level: float = LEVEL,
    flops: float | None = None,
    resampling: Resampling = "residuals",
    seed: int = 0,
) -> Simulation:
    """Simulate and fit `n_studies` studies of the cells, with losses that follow the law.

    Args:
        cells: the runs: `params`, `tokens` and where known `flops`, `budget`, `role`.
        law: the truth. Approach 3 fits its form.
        noise: of the losses.
        n_studies: simulated.
        approach: 2 or 3.
        bootstrap, level, resampling: of every study's fit, as `laws.fit` takes them.
        flops: the budget of optima and losses; by default `BEYOND` times the largest.
        seed: of losses and resamples.

    Raises:
        InputError: cells or options that no study could be fitted with, or approach 1, which
            reads curves.
    """
    if approach not in (2, 3):
        raise InputError(f"approach {approach} cannot be simulated from a plan: use 2 or 3")
    if n_studies < 1 or bootstrap < 20:
        raise InputError(f"{n_studies} studies of {bootstrap} resamples: give at least 1 of 20")
    rng = np.random.default_rng(seed)
    fitted = cells[cells["role"] != "verification"] if "role" in cells else cells
    losses_MxSxN = _losses(fitted, law, noise, n_studies, rng)
    options = Options(
        bootstrap=bootstrap, level=level, count=law.count, seed=seed, resampling=resampling
    )
    tables = (_table(fitted, loss_SxN) for loss_SxN in losses_MxSxN)
    refused: dict[str, int] = {}
    if approach == 3:
        fits = fit_laws(next(tables), losses_MxSxN, law, options)
    else:
        fits = _fit_each(tables, approach, options, refused)
    target = BEYOND * float(_flops(fitted).max()) if flops is None else flops
    compute, ends = fits[0].compute, fits[0].flops_range
    params, tokens, loss = law.optimal(target, compute)
    at_optimum = Target(target, params, tokens)
    return Simulation(
        flops=target,
        level=level,
        truth=law.exponents_in(compute, ends) | {"params": params, "tokens": tokens, "loss": loss},
        studies=_reports(fits, (params, tokens, loss), target, scatter(noise, rng, (len(fits),))),
        refused=refused,
        training_flops=noise.seeds * float(_spent(cells).sum()),
        unit=law.unit,
        form=_form_errors(fitted, law, at_optimum, noise) if approach == 3 else {},
    )


def _form_errors(
    cells: "pd.DataFrame", law: KnownLaw, target: Target, noise: Noise
) -> dict[str, float]:
    values = {"params": PARAMS_COLUMN[law.count], "tokens": "tokens"}
    values_N = {name: cells[column].to_numpy(np.float64) for name, column in values.items()}
    errors_A = form_errors(law, values_N, target, noise.scale)
    found = dict(zip(ANSWERS, errors_A.tolist(), strict=True))
    loss = float(law.loss(target.params, target.tokens))
    return found | {"loss": loss * math.expm1(found["loss"])}


def _losses(
    cells: "pd.DataFrame", law: KnownLaw, noise: Noise, n_studies: int, rng: np.random.Generator
) -> np.ndarray:
    column = PARAMS_COLUMN[law.count]
    missing = [name for name in (column, "tokens") if name not in cells]
    if missing or cells.empty:
        raise InputError(f"the cells lack {missing[0] if missing else 'rows'}: give params, tokens")
    params_N, tokens_N = (cells[name].to_numpy(np.float64) for name in (column, "tokens"))
    if not (np.isfinite(params_N * tokens_N).all() and min(params_N.min(), tokens_N.min()) > 0):
        raise InputError("the cells' params and tokens must be positive and finite")
    loss_N = law.loss(params_N, tokens_N)
    return measured_losses(loss_N, params_N, tokens_N, noise, n_studies, rng)


def _flops(cells: "pd.DataFrame") -> np.ndarray:
    if "flops" in cells:
        return cells["flops"].to_numpy(np.float64)
    return FLOPS_PER_PARAM_TOKEN * (cells["params"] * cells["tokens"]).to_numpy(np.float64)


def _spent(cells: "pd.DataFrame") -> np.ndarray:
    """FLOPs that training each cell takes, fewer than its own where cells share steps."""
    return cells["flops_spent"].to_numpy(float) if "flops_spent" in cells else _flops(cells)


def _table(cells: "pd.DataFrame", loss_SxN: np.ndarray) -> "pd.DataFrame":
    """Rows as a finished study's: all cells of the first seed, then of the next."""
    import pandas as pd

    n_seeds, n = loss_SxN.shape
    table = pd.concat([cells.assign(flops=_flops(cells))] * n_seeds, ignore_index=True)
    seeds = np.repeat(np.arange(n_seeds), n)
    names = [f"cell{i % n}-seed{seed}" for i, seed in enumerate(seeds)]
    return table.assign(run_id=names, seed=seeds, status="finished", loss=loss_SxN.ravel())


def _fit_each(
    tables: "Iterator[pd.DataFrame]", approach: int, options: Options, refused: dict[str, int]
) -> list[Fit]:
    """Fit table by table; a study that cannot be fitted is counted under the reason given."""
    fits, message = [], ""
    for table in tables:
        try:
            fits.append(fit_table(table, approach, options))
        except InputError as error:
            message = str(error)
            reason = message.split(":")[0]
            refused[reason] = refused.get(reason, 0) + 1
    if not fits:
        raise InputError(f"none of the {sum(refused.values())} studies can be fitted: {message}")
    return fits


def _reports(
    fits: Sequence[Fit], optimum: tuple[float, float, float], flops: float, log_ratio_M: np.ndarray
) -> "pd.DataFrame":
    """Every study's estimates at the target, and a run that is then trained at the true optimum."""
    import pandas as pd

    params, tokens, loss = optimum
    rows = []
    for fitted, log_ratio in zip(fits, log_ratio_M, strict=True):
        best = fitted.optimal(flops)
        row = _exponents(fitted)
        row["params"] = (best.params, best.params_interval)
        row["tokens"] = (best.tokens, best.tokens_interval)
        if fitted.approach == 3:
            prediction = fitted.predict(params=params, tokens=tokens)
            row["loss"] = (prediction.loss, prediction.law_interval)
            row["measured"] = (loss * math.exp(log_ratio), prediction.interval)
        rows.append({key: value for name, pair in row.items() for key, value in _ends(name, *pair)})
    return pd.DataFrame(rows)


def _exponents(fitted: Fit) -> dict[str, tuple[float, Interval | None]]:
    intervals = fitted.exponent_intervals or {}
    return {name: (value, intervals.get(name)) for name, value in fitted.exponents.items()}


def _ends(name: str, value: float, bounds: Interval | None) -> Iterator[tuple[str, float]]:
    low, high = (np.nan, np.nan) if bounds is None else bounds
    yield from ((name, value), (f"{name}_low", low), (f"{name}_high", high))
