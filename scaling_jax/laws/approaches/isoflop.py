"""Approach 2: the minimum of each IsoFLOP curve, a power law through the minima."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import interval, power_law_constants
from scaling_jax.laws.approaches.frontier_loss import LEAST_POINTS, frontier_loss
from scaling_jax.laws.approaches.isoflop_bias import grid_biases
from scaling_jax.laws.approaches.isoflop_minimum import CurveMinima, curve_minima, size_means
from scaling_jax.laws.approaches.isoflop_surface import surface_minima
from scaling_jax.laws.conventions import Method, ReadOff
from scaling_jax.laws.diagnostics import fit_quality
from scaling_jax.laws.frontier_fit import FrontierFit
from scaling_jax.laws.frontier_points import Minimum
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.select import Rows
from scaling_jax.laws.uncertainty.bootstrap import scaled_noise

# One more than a parabola has constants: with three sizes it passes through every run.
_LEAST_SIZES = 4
_CONSTANTS_PER_CURVE = 3


@dataclass(frozen=True)
class _Curve:
    """One budget: its rows, its minimum in log params and in log tokens, and their draws."""

    budget: float
    log_params_N: np.ndarray
    log_tokens_N: np.ndarray
    loss_N: np.ndarray
    in_params: CurveMinima
    in_tokens: CurveMinima

    @property
    def has_minimum(self) -> bool:
        """Whether the curve has its minimum between its smallest and largest model."""
        return _inside(self.in_params.x_B[0], self.log_params_N) and _inside(
            self.in_tokens.x_B[0], self.log_tokens_N
        )


def fit_isoflop(
    rows: Rows, options: Options, *, method: ReadOff = "parabola", corrected: bool = False
) -> FrontierFit:
    """N_opt and D_opt of every budget and their power laws in C (Hoffmann et al. 2022, 3.2).

    N_opt is the minimum of the curve in log N, D_opt the minimum in log D; the losses at four
    minima or more are fitted by a power law above a floor. A budget without a minimum between its
    smallest and largest model is dropped, with a note. The bootstrap resamples residuals of the
    curves, since a curve of five or six runs cannot spare any.

    Args:
        rows: of known budgets.
        options: of the fit.
        method: the curve through a budget's runs; `surface` takes the minima of one law L(N, D)
            fitted to all budgets, and so the law's exponents.
        corrected: take out the bias that the method has on a fitted law's noise-free curves.

    Raises:
        InputError: no budgets, fewer than 4 sizes in every one, fewer than 2 interior minima,
            a correction of a method without bias, or one that the rows do not determine.
    """
    if method == "surface" and corrected:
        raise InputError(
            "a minimum read off the fitted surface has no bias to take out: leave out the "
            "correction, or use the curve 'parabola'"
        )
    groups, dropped, notes = _groups(rows)
    if method == "surface":
        curves = _on_surface(groups, rows, options)
    else:
        curves = _resampled(groups, rows, method, options)
    kept = [curve for curve in curves if curve.has_minimum]
    notes += [_no_minimum(curve) for curve in curves if not curve.has_minimum]
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} of {len(curves)} budgets have a minimum between their smallest and "
            f"largest model, but a power law needs 2: {' '.join(notes)}"
        )
    if len(kept) < len(curves):
        dropped["no interior minimum"] = len(curves) - len(kept)
    biases = [0.0] * len(kept)
    if method != "surface":
        found = grid_biases([(c.budget, c.log_params_N) for c in kept], rows, method)
        if found is None and corrected:
            raise InputError(
                rows.compute.undetermined
                or f"the {len(rows)} rows do not determine the law whose curves tell the bias of a "
                f"{method}: leave out the correction, or add runs at other params and tokens"
            )
        biases = found or biases
    reference = float(np.exp(np.mean([np.log(curve.budget) for curve in kept])))
    shifts_G = np.array(biases) if corrected else np.zeros(len(kept))
    loss_BxP = _losses(kept, reference)
    names, constants_BxP = power_law_constants(_power_laws(kept, shifts_G, reference), loss_BxP)
    return FrontierFit(
        approach=2,
        params=dict(zip(names, constants_BxP[0].tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective={
            "name": "chinchilla law along each budget's FLOPs"
            if method == "surface"
            else f"{method} of loss in log size",
            "curve": method,
            "corrected": corrected,
        },
        n_points=len(kept),
        n_dropped=rows.dropped | dropped,
        diagnostics=(
            fit_quality.span_note(rows.flops),
            *notes,
            *_few_minima(len(kept), loss_BxP is not None),
            *_unweighted(rows, method),
            *fit_quality.bias_notes(biases, corrected),
        ),
        flops_range=(float(rows.flops.min()), float(rows.flops.max())),
        reference_flops=reference,
        provenance=options.provenance(rows),
        compute=rows.compute,
        draws_BxP=constants_BxP[1:] if options.bootstrap else None,
        minima=tuple(_minimum(c, s, options) for c, s in zip(kept, shifts_G, strict=True)),
    )


def _unweighted(rows: Rows, method: ReadOff) -> tuple[Note, ...]:
    if method == "surface" or np.ptp(rows.weight) == 0:
        return ()
    low, high = rows.weight.min(), rows.weight.max()
    text = (
        f"The rows' weights, {low:.3g} to {high:.3g}, are not used: every run counts alike for a "
        f"budget's {method}. They count with the curve 'surface' and in approach 3."
    )
    return (Note(NoteCode.WEIGHTS_UNUSED, text),)


def _groups(rows: Rows) -> tuple[list[tuple[float, np.ndarray]], dict[str, int], list[Note]]:
    """Budgets with the indices of their rows; counts of and notes on the budgets dropped."""
    if rows.budget is None:
        raise InputError(
            f"the rows fall into no IsoFLOP groups, which are runs of equal C "
            f"({' '.join(rows.compute_notes)}): plan budgets in this C, or use approach 3"
        )
    groups, notes = [], []
    for budget in np.unique(rows.budget):
        index = np.flatnonzero(rows.budget == budget)
        sizes = len(np.unique(rows.params[index]))
        if sizes >= _LEAST_SIZES:
            groups.append((float(budget), index))
        else:
            text = f"Budget {budget:.3g} has {sizes} sizes, of {_LEAST_SIZES} needed."
            notes.append(Note(NoteCode.FEW_SIZES, text))
    if not groups:
        raise InputError(
            f"no budget has {_LEAST_SIZES} model sizes ({len(notes)} budgets, {len(rows)} rows): "
            "train more sizes per budget, or use approach 3"
        )
    dropped = {"budgets with too few sizes": len(notes)} if notes else {}
    return groups, dropped, notes


def _rows_of(rows: Rows, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.log(rows.params[index]), np.log(rows.tokens[index]), rows.loss[index]


def _on_surface(
    groups: list[tuple[float, np.ndarray]], rows: Rows, options: Options
) -> list[_Curve]:
    """Every budget with its minimum on the fitted law and on the laws of resamples."""
    found = zip(groups, surface_minima(groups, rows, options), strict=True)
    return [_Curve(budget, *_rows_of(rows, index), *both) for (budget, index), both in found]


def _resampled(
    groups: list[tuple[float, np.ndarray]], rows: Rows, method: Method, options: Options
) -> list[_Curve]:
    """Every curve as measured (draw 0) and with its residuals resampled."""
    # Akima's curve passes through every point and has no residuals, so those of a windowed
    # parabola are resampled instead.
    smooth: Method = "parabola" if method == "parabola" else "window"
    fitted = []
    for _, index in groups:
        x_N, _, loss_N = _rows_of(rows, index)
        own = curve_minima(smooth, x_N, loss_N[None], size_means(x_N, loss_N))
        fitted.append(own.fitted_BxN[0])
    residuals = [
        np.log(rows.loss[index] / f_N) for (_, index), f_N in zip(groups, fitted, strict=True)
    ]
    # Five or six residuals cannot describe a budget's noise; those of all budgets together can.
    pooled = np.concatenate(residuals)
    pooled = pooled[np.isfinite(pooled)]
    noise = scaled_noise(pooled, _CONSTANTS_PER_CURVE * len(groups))
    rng = np.random.default_rng(options.seed)
    curves = []
    for (budget, index), f_N in zip(groups, fitted, strict=True):
        x_N, tokens_N, loss_N = _rows_of(rows, index)
        centre_N = loss_N if method == "akima" else np.where(np.isfinite(f_N), f_N, loss_N)
        drawn_BxN = rng.choice(noise, size=(options.bootstrap, len(index)))
        loss_BxN = np.concatenate([loss_N[None], centre_N * np.exp(drawn_BxN)])
        measured_N = size_means(x_N, loss_N)
        in_params, in_tokens = (
            curve_minima(method, x, loss_BxN, measured_N) for x in (x_N, tokens_N)
        )
        curves.append(_Curve(budget, x_N, tokens_N, loss_N, in_params, in_tokens))
    return curves


def _inside(x: float, x_N: np.ndarray) -> bool:
    return bool(x_N.min() < x < x_N.max())


def _power_laws(curves: list[_Curve], shifts_G: np.ndarray, reference: float) -> np.ndarray:
    """`N_ref, D_ref, a, b` of every draw; a bias of N_opt has the opposite sign in D_opt."""
    x_G = np.log([curve.budget / reference for curve in curves])
    n_ref, a = _lines(x_G, np.stack([c.in_params.x_B for c in curves], 1) - shifts_G)
    d_ref, b = _lines(x_G, np.stack([c.in_tokens.x_B for c in curves], 1) + shifts_G)
    return np.stack([np.exp(n_ref), np.exp(d_ref), a, b], axis=1)


def _losses(curves: list[_Curve], reference: float) -> np.ndarray | None:
    """Constants of the loss at the minima of every draw; None for too few of them."""
    flops_G = np.array([curve.budget for curve in curves])
    return frontier_loss(flops_G, np.stack([c.in_params.loss_B for c in curves], 1), reference)


def _lines(x_G: np.ndarray, y_BxG: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope of each draw's points, over those curves that have a minimum in it."""
    there = np.isfinite(y_BxG)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = there.sum(axis=1)
        mean_x = np.where(there, x_G, 0).sum(axis=1) / count
        mean_y = np.where(there, y_BxG, 0).sum(axis=1) / count
        dx = np.where(there, x_G - mean_x[:, None], 0)
        slope = (dx * np.where(there, y_BxG, 0)).sum(axis=1) / (dx**2).sum(axis=1)
    return mean_y - slope * mean_x, slope


def _minimum(curve: _Curve, shift: float, options: Options) -> Minimum:
    params_B = np.exp(curve.in_params.x_B - shift)
    quadratic_Bx3 = curve.in_params.quadratic_Bx3
    return Minimum(
        budget=curve.budget,
        params=float(params_B[0]),
        tokens=float(np.exp(curve.in_tokens.x_B[0] + shift)),
        loss=float(curve.in_params.loss_B[0]),
        params_interval=interval(params_B[1:], options.level) if options.bootstrap else None,
        quadratic=None if quadratic_Bx3 is None else tuple(quadratic_Bx3[0].tolist()),
    )


def _no_minimum(curve: _Curve) -> Note:
    sizes_N = np.exp(curve.log_params_N)
    best = sizes_N[curve.loss_N.argmin()]
    at_an_end = best in (sizes_N.min(), sizes_N.max())
    remedy = "add sizes beyond that end" if at_an_end else "repeat runs or widen the grid"
    return Note(
        NoteCode.GRID_EDGE if at_an_end else NoteCode.NO_MINIMUM,
        f"Budget {curve.budget:.3g} has no minimum between its sizes {sizes_N.min():.3g} and "
        f"{sizes_N.max():.3g} (lowest loss at {best:.3g}) and was left out: {remedy}.",
    )


def _few_minima(count: int, has_loss: bool) -> tuple[Note, ...]:
    notes = []
    if count < 3:
        text = f"{count} minima leave no way to see whether the frontier is straight."
        notes.append(Note(NoteCode.FEW_MINIMA, text))
    if count < LEAST_POINTS:
        text = (
            f"{count} minima are too few to say how the loss of the optimum falls with compute: "
            f"{LEAST_POINTS} are needed."
        )
        notes.append(Note(NoteCode.FRONTIER_LOSS_UNFITTED, text))
    elif not has_loss:
        text = f"The losses of the {count} minima determine no power law above a floor."
        notes.append(Note(NoteCode.FRONTIER_LOSS_UNFITTED, text))
    return tuple(notes)
