"""Notes on the quality of a fit, each a sentence with the number behind it."""

import math
from collections.abc import Sequence

import numpy as np

from scaling_jax.laws.allocation import all_alike
from scaling_jax.laws.catalogue import Law, PowerSum
from scaling_jax.laws.diagnostics.residual_trends import trends
from scaling_jax.laws.law_fit import EXACT
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.optimum import PointFit
from scaling_jax.laws.tables.select import Rows
from scaling_jax.laws.uncertainty.noise_scale import gaussian, noise_of

# Collinear columns inflate the variance of a slope by 1 / (1 - r^2): fivefold at this correlation.
_COLLINEAR = 0.9
# In the flattest direction of such a Hessian, constants are known 300 times worse than in the
# steepest.
_ILL_CONDITIONED = 1e5
# Gaussian noise puts one row in 500 million so far off.
_OUTLIER_SPREADS = 6.0
# A share of the loss that is less than any run's scatter: rows without noise lie off by rounding.
_LEAST_OUTLIER = 1e-4
# A resampled constant so many times its median has left what the data describe.
_UNBOUNDED = 1e3
# The share of resamples that an end of a 90 % interval leaves outside.
_OFTEN = 0.05
# Percentiles of a bootstrap over fewer clusters cover less than their level.
_FEW_RUNS = 20
# Rows per constant that intervals need, and below which they tend to be too narrow: a law passes
# through as many rows as it has constants, and the others show its noise (docs/coverage.md).
ROWS_PER_CONSTANT, _AMPLE_ROWS_PER_CONSTANT = 2, 4
# Per cent: a smaller bias is less than what a repeated study moves N_opt by.
_SMALL_BIAS = 1.0


def law_notes(
    law: Law,
    rows: Rows,
    point: PointFit,
    draws_BxP: np.ndarray | None,
    objective: Objective,
) -> tuple[Note, ...]:
    """Sentences about a fit of approach 3: its data, its optimum, its noise and its constants.

    Args:
        law: the fitted law.
        rows: what the law was fitted to.
        point: the optimum.
        draws_BxP: constants of the resamples; None without a bootstrap.
        objective: what was minimized.
    """
    is_logged = law.is_logged(objective)
    of_size_and_data = rows.has_size_and_data
    notes = [
        span_note(rows.flops) if np.isfinite(rows.flops).all() else None,
        _collinearity(rows) if of_size_and_data else None,
        _optimum(point),
        _flat(point),
        _noise(law, rows, point, objective) if is_logged else _plain_noise(law, point),
        _vanished(law, rows, point),
        _outliers(rows, point, objective) if is_logged else None,
        *(trends(rows, point.residuals_N) if of_size_and_data and is_logged else ()),
        *_unbounded(law, rows, point, draws_BxP),
        _alike(law, point, draws_BxP),
    ]
    return tuple(note for note in notes if note is not None)


def saturation_notes(n_distinct: int, n_free: int) -> tuple[Note, ...]:
    """A sentence where the constants take up so many rows that few are left to show the noise.

    Args:
        n_distinct: rows that differ in what the law reads or predicts.
        n_free: constants that were fitted.
    """
    rows = f"{n_distinct} distinct rows are fitted by {n_free} constants"
    if n_distinct < ROWS_PER_CONSTANT * n_free:
        text = (
            f"There are no intervals: {rows}, and {n_distinct - n_free} rows beyond that many are "
            f"too few to show the noise; {ROWS_PER_CONSTANT * n_free} distinct rows are needed."
        )
        return (Note(NoteCode.FEW_ROWS, text),)
    if n_distinct < _AMPLE_ROWS_PER_CONSTANT * n_free:
        text = (
            f"Intervals tend to be too narrow: {rows}, fewer than {_AMPLE_ROWS_PER_CONSTANT} per "
            "constant."
        )
        return (Note(NoteCode.FEW_ROWS, text),)
    return ()


def bias_notes(biases: Sequence[float], corrected: bool) -> tuple[Note, ...]:
    """A sentence on the bias of approach 2 where it exceeds 1 % of N_opt.

    The bias is `ln(estimate / optimum)` on noise-free curves of the fitted law. Czech et al. 2026
    (arXiv 2603.22339): a shift that is the same at every budget moves the optimum, one that drifts
    with the budget also changes the exponent.
    """
    percent = 100 * np.expm1(np.array(biases))
    if np.abs(percent).max() < _SMALL_BIAS:
        return ()
    drift = percent.max() - percent.min()
    done = "which was taken out" if corrected else "which the correction would take out"
    drifting = f", drifting by {drift:.1f} points across budgets" if drift > _SMALL_BIAS else ""
    text = (
        f"On the law fitted to these runs, this estimate of N_opt is off by {percent.mean():+.1f} %"
        f"{drifting} without any noise, {done}."
    )
    return (Note(NoteCode.READ_OFF_BIAS, text),)


def span_note(flops: np.ndarray) -> Note:
    """A sentence on the decades of compute that the data cover; `flops` in FLOPs."""
    decades = np.log10(flops.max() / flops.min())
    return Note(
        NoteCode.COMPUTE_SPAN,
        f"The data span {decades:.1f} decades of compute, {flops.min():.3g} to {flops.max():.3g} "
        "FLOPs.",
    )


def run_notes(rows: Rows) -> tuple[Note, ...]:
    """A sentence where the runs are too few or too unequal to resample whole ones."""
    if rows.run_id is None:
        return ()
    sizes = np.unique(rows.run_id, return_counts=True)[1]
    text = (
        f"Intervals come from resampling {len(sizes)} runs of {sizes.min()} to {sizes.max()} rows"
    )
    if len(sizes) < _FEW_RUNS:
        text += f": with fewer than {_FEW_RUNS} they tend to be too narrow."
        return (Note(NoteCode.FEW_RUNS, text),)
    if sizes.max() > len(rows) / 2:
        text += ", one of which holds most rows: they rest on how often it was drawn."
        return (Note(NoteCode.UNEQUAL_RUNS, text),)
    return ()


def _collinearity(rows: Rows) -> Note | None:
    r = np.corrcoef(np.log(rows.params), np.log(rows.tokens))[0, 1]
    if abs(r) < _COLLINEAR:
        return None
    return Note(
        NoteCode.COLLINEAR_RUNS,
        f"Log params and log tokens are correlated at {r:.2f}, so their effects are hard to tell "
        "apart: runs with other tokens per parameter would help most.",
    )


def _optimum(point: PointFit) -> Note:
    found = (
        f"the descents ended in {point.n_optima} distinct optima, of which this is the lowest."
        if point.n_optima > 1
        else "every descent ended in this optimum."
    )
    return Note(
        NoteCode.OPTIMUM_FOUND,
        f"The objective is {point.value:.6g} with gradient norm {point.gradient_norm:.1e}; {found}",
    )


def _flat(point: PointFit) -> Note | None:
    if point.condition < _ILL_CONDITIONED:
        return None
    return Note(
        NoteCode.FLAT_OPTIMUM,
        "The objective is nearly flat in some direction (condition number "
        f"{point.condition:.1e}): read constants together, not one by one.",
    )


def _noise(law: Law, rows: Rows, point: PointFit, objective: Objective) -> Note:
    scatter = 100 * noise_of(point)
    text = f"Single rows scatter about the law by {scatter:.2g} % of their {law.response}"
    if not objective.likelihood:
        return Note(NoteCode.NOISE_SCALE, f"{text} (robust standard deviation).")
    fitted = gaussian(point.residuals_N, rows.weight)
    return Note(
        NoteCode.NOISE_SCALE,
        f"{text} (robust standard deviation); as Gaussian noise its scale is "
        f"{100 * fitted['sigma']:.3g} % by maximum likelihood, and the log-likelihood "
        f"{fitted['log_likelihood']:.2f}.",
    )


def _plain_noise(law: Law, point: PointFit) -> Note:
    """The noise of a response that is fitted as it is, in its own unit."""
    return Note(
        NoteCode.NOISE_SCALE,
        f"Single rows scatter about the law by {noise_of(point):.2g} in {law.response} (robust "
        "standard deviation).",
    )


def _vanished(law: Law, rows: Rows, point: PointFit) -> Note | None:
    """A sentence on terms that vanished, as the floor E does where log loss is straight."""
    names = [name for name in point.vanished if name in law.positive]
    if not names:
        return None
    is_floor = rows.is_loss and names == [_floor(law)]
    what = "The irreducible loss" if is_floor else "The effect of"
    return Note(
        NoteCode.FLOOR_UNIDENTIFIED if is_floor else NoteCode.VANISHED_TERM,
        f"{what} {', '.join(names)} vanished at the optimum, at the edge of what is possible: the "
        f"data do not bound {'it' if len(names) == 1 else 'them'} from below, and extrapolations "
        "far beyond the data are unsafe.",
    )


def _floor(law: Law) -> str:
    """The constant that a sum of power laws has as its floor; empty where there is none."""
    terms = law.terms if isinstance(law, PowerSum) else ()
    return next((term.coefficient for term in terms if not term.powers), "")


def _outliers(rows: Rows, point: PointFit, objective: Objective) -> Note | None:
    off_N = np.abs(point.residuals_N)
    far = max(_OUTLIER_SPREADS * noise_of(point), _LEAST_OUTLIER)
    count, worst = int((off_N > far).sum()), int(off_N.argmax())
    if not count:
        return None
    rows_are = "row lies" if count == 1 else "rows lie"
    code, effect = NoteCode.OUTLIER_ROWS, "Huber's loss bounds their pull"
    if math.isinf(objective.delta):
        code = NoteCode.OUTLIERS_PULL
        effect = "squared error lets them pull the law to themselves, which huber would not"
    return Note(
        code,
        f"{count} {rows_are} more than {_OUTLIER_SPREADS:g} spreads off the law, the farthest "
        f"{100 * np.expm1(point.residuals_N[worst]):+.1f} % at {rows.label[worst]} "
        f"({_where(rows, worst)}); {effect}.",
    )


def _where(rows: Rows, row: int) -> str:
    return ", ".join(f"{values[row]:.3g} {name}" for name, values in rows.variables.items())


def _alike(law: Law, point: PointFit, draws_BxP: np.ndarray | None) -> Note | None:
    """A sentence on fitted constants that no resample moves."""
    if draws_BxP is None or noise_of(point) < EXACT:
        return None
    free_P = zip(law.names, point.free_P, draws_BxP.T, strict=True)
    names = [name for name, free, draws_B in free_P if free and all_alike(draws_B)]
    if not names:
        return None
    return Note(
        NoteCode.RESAMPLES_ALIKE,
        f"Every resample gives the same {', '.join(names)}, which says nothing of how well "
        f"{'it is' if len(names) == 1 else 'they are'} known: there is no interval.",
    )


def _unbounded(law: Law, rows: Rows, point: PointFit, draws_BxP: np.ndarray | None) -> list[Note]:
    """Sentences on constants that many resamples put far from their median."""
    if draws_BxP is None:
        return []
    median_P = np.abs(np.median(draws_BxP, axis=0))
    # The median of a vanished constant is no measure of its size.
    measured_P = np.array([name not in point.vanished for name in law.names])
    above_BxP = ~np.isfinite(draws_BxP) | (np.abs(draws_BxP) > _UNBOUNDED * median_P)
    positive_P = np.array([name in law.positive for name in law.names])
    below_BxP = positive_P & (np.abs(draws_BxP) < median_P / _UNBOUNDED)
    floor = _floor(law) if rows.is_loss else ""
    notes = []
    for side, beyond_BxP, size in (
        ("above", above_BxP, "more than a thousand times its median"),
        ("below", below_BxP, "at less than a thousandth of its median"),
    ):
        share_P = np.where(measured_P, beyond_BxP.mean(axis=0), 0.0)
        wide = [n for n, s in zip(law.names, share_P, strict=True) if s > _OFTEN]
        for code, names in (
            (NoteCode.FLOOR_UNIDENTIFIED, [name for name in wide if name == floor]),
            (NoteCode.CONSTANT_UNIDENTIFIED, [name for name in wide if name != floor]),
        ):
            text = (
                f"The data do not bound {', '.join(names)} from {side}: over 5 % of the resamples "
                f"put it {size}."
            )
            notes += [Note(code, text)] if names else []
    return notes
