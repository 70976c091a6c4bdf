"""Approach 1: the envelope of training curves, and power laws through it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import power_law_constants
from scaling_jax.laws.approaches.frontier_loss import frontier_loss
from scaling_jax.laws.approaches.kaplan_stopping import sizes_along
from scaling_jax.laws.conventions import PARAMS_COLUMN
from scaling_jax.laws.diagnostics import fit_quality
from scaling_jax.laws.fitted import FrontierFit
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.frontier_points import FrontierPoints
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.select import Rows

if TYPE_CHECKING:
    import pandas as pd

GRID_POINTS = 1500
# Neighbours on the envelope are points of one smooth curve, so a few determine its loss as well.
_LOSS_POINTS = 16
# Hoffmann et al. 2022, section 3.1, smooth with a Gaussian of 10 steps before interpolating.
_SMOOTHING_STEPS = 10.0
_LEAST_RUNS = 4
_LEAST_CURVE = 5
# Losses of every run on the whole grid are held per resample, so a few at a time bound the memory.
_RESAMPLES_AT_ONCE = 64
CURVE_COLUMNS = ("run_id", "params", "tokens", "flops", "loss")


def fit_envelope(rows: Rows, curves: "pd.DataFrame", options: Options) -> FrontierFit:
    """Power laws through the runs of lowest loss at 1,500 log-spaced FLOPs.

    Hoffmann et al. 2022, section 3.1: every training curve is smoothed (a Gaussian of 10
    steps) and interpolated; at each FLOP value the run with the lowest loss gives N and D. The
    bootstrap resamples whole runs, since the points of one curve share its noise. A cosine
    schedule reaches its low loss only at its end, so every size needs runs of several lengths.

    Args:
        rows: the fitted rows, of which only the count of dropped ones is read.
        curves: several rows per run, with `CURVE_COLUMNS`: FLOPs, tokens, nats per token.
        options: of the fit.

    Raises:
        InputError: missing columns, fewer than 4 runs with a curve, or one run lowest everywhere.
    """
    smooth = _smoothed_runs(curves)
    flops_G, loss_RxG, tokens_RxG, params_R = _on_grid(smooth, options.count)
    reference = float(np.exp(np.log(flops_G).mean()))
    arguments = (np.log(flops_G / reference), loss_RxG, np.log(tokens_RxG), np.log(params_R))
    constants_BxP, lowest_BxG = _fit_envelope(_run_weights(len(params_R), options), *arguments)
    lowest_G = lowest_BxG[0]
    if len(np.unique(lowest_G)) < 2:
        raise InputError(
            "one run has the lowest loss at every FLOP value, so the envelope shows no trade-off: "
            "train smaller and larger models"
        )
    loss_BxP = _losses(flops_G, loss_RxG, lowest_BxG, reference)
    names, constants_BxP = power_law_constants(constants_BxP, loss_BxP)
    at = (lowest_G, np.arange(len(flops_G)))
    points = FrontierPoints(flops_G, params_R[lowest_G], tokens_RxG[at], loss_RxG[at])
    sizes, size_notes = sizes_along(smooth, params_R, points)
    return FrontierFit(
        approach=1,
        params=dict(zip(names, constants_BxP[0].tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective={"name": "least squares on log params and log tokens", "reduction": "sum"},
        n_points=len(flops_G),
        n_dropped=rows.dropped,
        diagnostics=(
            fit_quality.span_note(flops_G),
            _runs_on_envelope(lowest_G, len(params_R)),
            *size_notes,
        ),
        flops_range=(float(flops_G[0]), float(flops_G[-1])),
        reference_flops=reference,
        provenance=options.provenance(rows),
        draws_BxP=constants_BxP[1:] if options.bootstrap else None,
        frontier_points=points,
        sizes=sizes,
    )


def _smoothed_runs(curves: "pd.DataFrame") -> Sequence[Mapping[str, np.ndarray]]:
    from scipy.ndimage import gaussian_filter1d

    missing = [name for name in CURVE_COLUMNS if name not in curves]
    if missing:
        raise InputError(
            f"the curves lack the column {missing[0]!r}: approach 1 needs "
            f"{', '.join(CURVE_COLUMNS)}, several rows per run"
        )
    runs = []
    for _, run in curves.sort_values("flops").groupby("run_id", sort=True):
        columns = {name: run[name].to_numpy(np.float64) for name in run.columns if name in _READ}
        good = np.isfinite(columns["loss"]) & (columns["loss"] > 0)
        columns = {name: values[good] for name, values in columns.items()}
        if len(columns["loss"]) >= _LEAST_CURVE:
            columns["loss"] = gaussian_filter1d(columns["loss"], _SMOOTHING_STEPS, mode="nearest")
            runs.append(columns)
    if len(runs) < _LEAST_RUNS:
        raise InputError(
            f"{len(runs)} runs have a loss curve of {_LEAST_CURVE} points or more, but approach 1 "
            f"needs {_LEAST_RUNS}: give the losses along training, or use approach 2 or 3"
        )
    return runs


_READ = (*CURVE_COLUMNS[1:], *PARAMS_COLUMN.values())


def _on_grid(
    runs: Sequence[Mapping[str, np.ndarray]], count: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The grid of FLOPs, losses and tokens of every run on it, and the runs' params.

    A loss is infinite where the run has no curve, so that the run is never the lowest there.
    """
    ends = [run["flops"][-1] for run in runs]
    flops_G = np.geomspace(min(ends), max(ends), GRID_POINTS)
    loss, tokens = [], []
    for run in runs:
        x, grid = np.log(run["flops"]), np.log(flops_G)
        # A curve that ends on the grid's last value must reach it despite rounding.
        inside = (grid >= x[0] - 1e-9) & (grid <= x[-1] + 1e-9)
        loss.append(np.where(inside, np.interp(grid, x, run["loss"]), np.inf))
        tokens.append(np.exp(np.interp(grid, x, np.log(run["tokens"]))))
    column = PARAMS_COLUMN[count]  # type: ignore[index]
    if column not in runs[0]:
        raise InputError(f"the curves have no column {column!r}: use count 'total'")
    params_R = np.array([run[column][0] for run in runs])
    return flops_G, np.array(loss), np.array(tokens), params_R


def _run_weights(n_runs: int, options: Options) -> np.ndarray:
    """How often each run counts: once in the first row, then as drawn in every resample."""
    rng = np.random.default_rng(options.seed)
    drawn_BxR = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=options.bootstrap)
    return np.concatenate([np.ones((1, n_runs)), drawn_BxR])


def _losses(
    flops_G: np.ndarray, loss_RxG: np.ndarray, lowest_BxG: np.ndarray, reference: float
) -> np.ndarray | None:
    """Constants of the loss along every resample's envelope, fitted to some of its points."""
    some = np.linspace(0, len(flops_G) - 1, _LOSS_POINTS).round().astype(int)
    loss_BxS = loss_RxG[lowest_BxG[:, some], some]
    return frontier_loss(
        flops_G[some], np.where(np.isfinite(loss_BxS), loss_BxS, np.nan), reference
    )


@in_float64
def _fit_envelope(
    weights_BxR: np.ndarray,
    x_G: np.ndarray,
    loss_RxG: np.ndarray,
    log_tokens_RxG: np.ndarray,
    log_params_R: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Constants `BxP` and the lowest run at every FLOP value `BxG`, for each resample."""
    constants, lowest = _fit_envelopes(weights_BxR, x_G, loss_RxG, log_tokens_RxG, log_params_R)
    return np.asarray(constants), np.asarray(lowest)


@jax.jit
def _fit_envelopes(
    weights_BxR: jax.Array,
    x_G: jax.Array,
    loss_RxG: jax.Array,
    log_tokens_RxG: jax.Array,
    log_params_R: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    def envelope(weights_R: jax.Array) -> tuple[jax.Array, jax.Array]:
        # A run that the resample did not draw cannot be the lowest; where no drawn run has a
        # curve, the FLOP value does not count.
        there_RxG = jnp.where(weights_R[:, None] > 0, loss_RxG, jnp.inf)
        lowest_G = jnp.argmin(there_RxG, axis=0)
        covered_G = jnp.isfinite(there_RxG.min(axis=0)).astype(x_G.dtype)
        log_n, a = _line(x_G, log_params_R[lowest_G], covered_G)
        log_tokens_G = jnp.take_along_axis(log_tokens_RxG, lowest_G[None], axis=0)[0]
        log_d, b = _line(x_G, log_tokens_G, covered_G)
        return jnp.stack([jnp.exp(log_n), jnp.exp(log_d), a, b]), lowest_G

    found: tuple[jax.Array, jax.Array] = jax.lax.map(
        envelope, weights_BxR, batch_size=_RESAMPLES_AT_ONCE
    )
    return found


def _line(x_G: jax.Array, y_G: jax.Array, weight_G: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Intercept and slope of weighted least squares."""
    total = weight_G.sum()
    mean_x, mean_y = weight_G @ x_G / total, weight_G @ y_G / total
    dx_G = x_G - mean_x
    slope = (weight_G * dx_G) @ y_G / ((weight_G * dx_G) @ dx_G)
    return mean_y - slope * mean_x, slope


def _runs_on_envelope(lowest_G: np.ndarray, n_runs: int) -> str:
    return f"{len(np.unique(lowest_G))} of {n_runs} runs have the lowest loss at some FLOP value."
