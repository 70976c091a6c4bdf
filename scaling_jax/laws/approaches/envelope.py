"""Approach 1: the envelope of training curves, and power laws through it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.formatting import count, plain_spaces
from scaling_jax.laws.allocation import power_law_constants
from scaling_jax.laws.approaches.frontier_loss import frontier_loss
from scaling_jax.laws.approaches.kaplan_stopping import sizes_along
from scaling_jax.laws.approaches.smoothed_curves import smoothed_runs
from scaling_jax.laws.diagnostics import fit_quality
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.frontier_fit import FrontierFit
from scaling_jax.laws.frontier_points import FrontierPoints
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.compute import BUDGET_GAP
from scaling_jax.laws.tables.select import Rows

if TYPE_CHECKING:
    import pandas as pd

GRID_POINTS = 1500
# Neighbours on the envelope are points of one smooth curve, so a few determine its loss as well.
_LOSS_POINTS = 16
_LEAST_SIZES = 3
# Losses of every run on the whole grid are held per resample, so a few at a time bound the memory.
_RESAMPLES_AT_ONCE = 64


def fit_envelope(rows: Rows, curves: "pd.DataFrame", options: Options) -> FrontierFit:
    """Power laws through the runs of lowest loss at 1,500 log-spaced FLOPs.

    Hoffmann et al. 2022, section 3.1: every training curve is smoothed (a Gaussian of 10
    steps) and interpolated; at each FLOP value the run with the lowest loss gives N and D. A curve
    of held-out losses is interpolated as it is. The
    bootstrap resamples whole runs, since the points of one curve share its noise. A cosine
    schedule reaches its low loss only at its end, so every size needs runs of several lengths.

    A FLOP value counts where its best size is known: the size lies strictly between the smallest
    and the largest that are trained so far, the lowest loss is no higher than at fewer FLOPs, and
    every run of the top budget reaches the value.

    Args:
        rows: the fitted rows, for their C and the count of dropped ones.
        curves: several rows per run, with `smoothed_curves.CURVE_COLUMNS`: FLOPs, tokens, nats per
            token. Their losses are held out where the column `loss_of` is `held_out`.
        options: of the fit.

    Raises:
        InputError: missing columns, fewer than 4 runs with a curve, or fewer than 3 sizes with
            the lowest loss at FLOP values that count.
    """
    smooth = smoothed_runs(curves, rows, options.count)
    flops_G, loss_RxG, tokens_RxG, params_R = _on_grid(smooth)
    reference = float(np.exp(np.log(flops_G).mean()))
    size_R = np.unique(params_R, return_inverse=True)[1]
    arguments = (np.log(flops_G / reference), loss_RxG, np.log(tokens_RxG), np.log(params_R))
    constants_BxP, lowest_BxG, counts_BxG = _fit_envelope(
        _run_weights(len(params_R), options), *arguments, size_R
    )
    lowest_G, counts_G = lowest_BxG[0], counts_BxG[0]
    _require_interior(size_R[lowest_G[counts_G]], params_R)
    loss_BxP = _losses(flops_G, loss_RxG, lowest_BxG, counts_BxG, reference)
    names, constants_BxP = power_law_constants(constants_BxP, loss_BxP)
    everywhere = _points(np.arange(len(flops_G)), lowest_G, flops_G, params_R, tokens_RxG, loss_RxG)
    points = _points(np.flatnonzero(counts_G), lowest_G, flops_G, params_R, tokens_RxG, loss_RxG)
    sizes, size_notes = sizes_along(smooth, params_R, everywhere)
    return FrontierFit(
        approach=1,
        params=dict(zip(names, constants_BxP[0].tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective={"name": "least squares on log C at each size", "reduction": "sum"},
        n_points=len(points.flops),
        n_dropped=rows.dropped,
        diagnostics=(
            fit_quality.span_note(points.flops),
            _runs_on_envelope(lowest_G[counts_G], params_R),
            *_left_out(counts_G),
            *size_notes,
        ),
        flops_range=(float(points.flops[0]), float(points.flops[-1])),
        reference_flops=reference,
        provenance=options.provenance(rows),
        draws_BxP=constants_BxP[1:] if options.bootstrap else None,
        compute=rows.compute,
        frontier_points=points,
        sizes=sizes,
    )


def _require_interior(size_K: np.ndarray, params_R: np.ndarray) -> None:
    """Refuse an envelope whose best size is mostly the smallest or the largest trained."""
    interior, trained = len(np.unique(size_K)), np.unique(params_R)
    if interior < _LEAST_SIZES:
        sizes = plain_spaces(f"{count(trained[0])} to {count(trained[-1])}")
        raise InputError(
            f"{interior} of {len(trained)} sizes, {sizes} "
            "parameters, have the lowest loss between a smaller and a larger one, but approach 1 "
            f"needs {_LEAST_SIZES}: train more sizes, or use approach 3"
        )


def _points(
    at_K: np.ndarray,
    lowest_G: np.ndarray,
    flops_G: np.ndarray,
    params_R: np.ndarray,
    tokens_RxG: np.ndarray,
    loss_RxG: np.ndarray,
) -> FrontierPoints:
    run_K = lowest_G[at_K]
    return FrontierPoints(
        flops_G[at_K], params_R[run_K], tokens_RxG[run_K, at_K], loss_RxG[run_K, at_K]
    )


def _on_grid(
    runs: Sequence[Mapping[str, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The grid of FLOPs, losses and tokens of every run on it, and the runs' params.

    A loss is infinite where the run has no curve, so that the run is never the lowest there. The
    grid ends where the first run of the top budget ends: beyond, the last run to end would be the
    lowest of one, however bad.
    """
    ends_R = np.array([run["flops"][-1] for run in runs])
    top = ends_R[ends_R > ends_R.max() / BUDGET_GAP].min()
    flops_G = np.geomspace(ends_R.min(), top, GRID_POINTS)
    loss, tokens = [], []
    for run in runs:
        x, grid = np.log(run["flops"]), np.log(flops_G)
        # A curve that ends on the grid's last value must reach it despite rounding.
        inside = (grid >= x[0] - 1e-9) & (grid <= x[-1] + 1e-9)
        loss.append(np.where(inside, np.interp(grid, x, run["loss"]), np.inf))
        tokens.append(np.exp(np.interp(grid, x, np.log(run["tokens"]))))
    params_R = np.array([run["params"][0] for run in runs])
    return flops_G, np.array(loss), np.array(tokens), params_R


def _run_weights(n_runs: int, options: Options) -> np.ndarray:
    """How often each run counts: once in the first row, then as drawn in every resample."""
    rng = np.random.default_rng(options.seed)
    drawn_BxR = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=options.bootstrap)
    return np.concatenate([np.ones((1, n_runs)), drawn_BxR])


def _losses(
    flops_G: np.ndarray,
    loss_RxG: np.ndarray,
    lowest_BxG: np.ndarray,
    counts_BxG: np.ndarray,
    reference: float,
) -> np.ndarray | None:
    """Constants of the loss along every resample's envelope, fitted to some of its points."""
    at_K = np.flatnonzero(counts_BxG[0])
    some = at_K[np.linspace(0, len(at_K) - 1, _LOSS_POINTS).round().astype(int)]
    loss_BxS = loss_RxG[lowest_BxG[:, some], some]
    return frontier_loss(flops_G[some], np.where(counts_BxG[:, some], loss_BxS, np.nan), reference)


@in_float64
def _fit_envelope(
    weights_BxR: np.ndarray,
    x_G: np.ndarray,
    loss_RxG: np.ndarray,
    log_tokens_RxG: np.ndarray,
    log_params_R: np.ndarray,
    size_R: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constants `BxP`, the lowest run at every FLOP value and which values count, `BxG`."""
    arguments = (weights_BxR, x_G, loss_RxG, log_tokens_RxG, log_params_R, size_R)
    constants, lowest, counts = map(np.asarray, _fit_envelopes(*arguments))
    return constants, lowest, counts


@jax.jit
def _fit_envelopes(
    weights_BxR: jax.Array,
    x_G: jax.Array,
    loss_RxG: jax.Array,
    log_tokens_RxG: jax.Array,
    log_params_R: jax.Array,
    size_R: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    def envelope(weights_R: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        # A run that the resample did not draw cannot be the lowest.
        there_RxG = jnp.where(weights_R[:, None] > 0, loss_RxG, jnp.inf)
        lowest_G, loss_G = jnp.argmin(there_RxG, axis=0), there_RxG.min(axis=0)
        # Where the best size is the smallest, or the largest with a curve, a size beyond it may
        # be better: the size is then that of the grid's end rather than the optimum's.
        least = jnp.where(weights_R > 0, size_R, len(size_R)).min()
        most_G = jnp.where(jnp.isfinite(there_RxG), size_R[:, None], -1).max(axis=0)
        best_G = size_R[lowest_G]
        # The envelope's loss rises where the best run ended before a larger size had caught up.
        falls_G = loss_G <= jax.lax.cummin(loss_G)
        counts_G = (least < best_G) & (best_G < most_G) & falls_G
        weight_G = counts_G.astype(x_G.dtype)
        log_n_G = log_params_R[lowest_G]
        log_tokens_G = jnp.take_along_axis(log_tokens_RxG, lowest_G[None], axis=0)[0]
        log_n, a = _line(x_G, log_n_G, log_n_G, weight_G)
        log_d, b = _line(x_G, log_tokens_G, log_n_G, weight_G)
        return jnp.stack([jnp.exp(log_n), jnp.exp(log_d), a, b]), lowest_G, counts_G

    found: tuple[jax.Array, jax.Array, jax.Array] = jax.lax.map(
        envelope, weights_BxR, batch_size=_RESAMPLES_AT_ONCE
    )
    return found


def _line(
    x_G: jax.Array, y_G: jax.Array, log_n_G: jax.Array, weight_G: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Intercept and slope of y in x, with log N as the instrument.

    Only trained sizes can be the best, so log N along the envelope is a staircase, and least
    squares of k steps in x gives (1 - 1 / k^2) times the slope. The x of one step scatter evenly
    about the x where its size is the optimum, so least squares of x in log N has no such bias.
    """
    total = weight_G.sum()
    mean_x, mean_y = weight_G @ x_G / total, weight_G @ y_G / total
    instrument_G = weight_G * (log_n_G - weight_G @ log_n_G / total)
    slope = (instrument_G @ (y_G - mean_y)) / (instrument_G @ (x_G - mean_x))
    return mean_y - slope * mean_x, slope


def _runs_on_envelope(lowest_K: np.ndarray, params_R: np.ndarray) -> Note:
    sizes = len(np.unique(params_R[lowest_K]))
    return Note(
        NoteCode.ENVELOPE_RUNS,
        f"{len(np.unique(lowest_K))} of {len(params_R)} runs, of {sizes} sizes, have the lowest "
        "loss at some FLOP value that counts.",
    )


def _left_out(counts_G: np.ndarray) -> tuple[Note, ...]:
    dropped = 1 - counts_G.mean()
    if dropped == 0:
        return ()
    text = (
        f"{100 * dropped:.0f} % of the FLOP values do not count: the best size is the smallest or "
        "the largest, or the lowest loss lies above that at fewer FLOPs."
    )
    return (Note(NoteCode.ENVELOPE_LEFT_OUT, text),)
