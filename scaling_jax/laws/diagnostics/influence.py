"""A note on rows without which the answer of a fit would be another."""

import numpy as np

from scaling_jax.laws.allocation import Interval, form_exponents, form_frontier, interval
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.optimum import PointFit, optimum, refit
from scaling_jax.laws.tables.select import Rows

# The distance from the middle of an interval to its end, as a share of its width.
_MUCH = 0.5
# Among more rows no single one weighs much, and refits without each would take seconds.
MOST_UNITS = 500
_MOST_SHOWN = 3
# Intervals of noise-free tables are as narrow as rounding; the solver moves answers by less.
_ROUNDING = 1e-6


def influential(
    law: Law,
    rows: Rows,
    point: PointFit,
    draws_BxP: np.ndarray | None,
    objective: Objective,
    *,
    level: float,
    by_run: bool,
) -> Note | None:
    """A sentence on rows without which the answer would lie at an end of its interval or beyond.

    The answer is the exponent a and N_opt at `BEYOND` times the largest budget. The case-deletion
    diagnostic of Cook 1977 (Technometrics 19, 15), scaled by the bootstrap interval: every row is
    dropped once and the law refitted, all in the program that fits the resamples.

    Args:
        law: the fitted law.
        rows: what the law was fitted to.
        point: the optimum of all rows.
        draws_BxP: constants of the resamples, for the widths of intervals.
        objective: what was minimized.
        level: of the intervals.
        by_run: drop whole runs rather than rows.

    Returns:
        The sentence; None where no row moves the answer so far, and where nothing can be
        compared: no frontier, no resamples, more than 500 rows, or too few to drop one.
    """
    if law.frontier is None or rows.compute.undetermined:
        return None
    labels, unit_N = units_of(rows, by_run)
    spare = len(labels) - 1 > len(law.names)
    if draws_BxP is None or not spare or len(labels) > MOST_UNITS:
        return None
    kept_UxN = unit_N != np.arange(len(labels))[:, None]
    left_out_UxP = refit(
        law,
        rows.variables,
        point,
        np.broadcast_to(rows.loss, (len(labels), len(rows))),
        rows.weight * kept_UxN,
        objective=objective,
    )
    at, drawn, left = (_answers(law, p, rows) for p in (point.constants_P, draws_BxP, left_out_UxP))
    width_2 = np.array([_width(interval(draws, level)) for draws in drawn])
    if not np.isfinite(width_2).all():
        return None
    share_U = _moved(left, at, width_2)
    if not (share_U > _MUCH).any():
        return None
    for u in _most(share_U):
        # A refit that starts at the optimum of all rows may stay in a local one.
        alone = optimum(
            law, rows.variables, rows.loss, rows.weight * kept_UxN[u], objective=objective
        )
        left[:, u] = _answers(law, alone.constants_P, rows)
    share_U = _moved(left, at, width_2)
    if not (share_U > _MUCH).any():
        return None
    return Note(NoteCode.INFLUENTIAL_RUN, _sentence(labels, share_U, left, at))


def _moved(left_2xU: np.ndarray, at_2: np.ndarray, width_2: np.ndarray) -> np.ndarray:
    """How far the answer moves without each unit, in widths of its interval."""
    # A refit without a frontier has no answer: it moved as far as possible.
    moved_2xU = np.nan_to_num(np.abs(left_2xU - at_2[:, None]), nan=np.inf)
    share_U: np.ndarray = (moved_2xU / width_2[:, None]).max(axis=0)
    return share_U


def _most(share_U: np.ndarray) -> list[int]:
    """The few units that move the answer most, among those that move it much."""
    order = np.argsort(-share_U, kind="stable")
    return [int(u) for u in order[:_MOST_SHOWN] if share_U[u] > _MUCH]


def _width(bounds: Interval) -> float:
    """The width of an interval, and at least what rounding moves an answer by without noise."""
    low, high = bounds
    return max(high - low, _ROUNDING) if np.isfinite([low, high]).all() else np.inf


def units_of(rows: Rows, by_run: bool) -> tuple[list[str], np.ndarray]:
    """Names of what is dropped at a time, a row or a run, and the one that each row belongs to."""
    if by_run and rows.run_id is not None:
        runs, unit_N = np.unique(rows.run_id, return_inverse=True)
        return [f"run {run}" for run in runs], unit_N
    columns = zip(rows.label, rows.params, rows.tokens, rows.loss, strict=True)
    names = [
        f"{label} ({n:.3g} params, {d:.3g} tokens, loss {loss:.4g})"
        for label, n, d, loss in columns
    ]
    return names, np.arange(len(rows))


def _answers(law: Law, constants_P: np.ndarray, rows: Rows) -> np.ndarray:
    """The exponent a and log N_opt, on a first axis of 2 before those of the constants."""
    ends = float(rows.flops.min()), float(rows.flops.max())
    frontier = form_frontier(law, constants_P, BEYOND * ends[1], rows.compute)
    exponents = form_exponents(law, constants_P, rows.compute, ends)
    with np.errstate(all="ignore"):
        return np.stack([exponents["a"], np.log(frontier.params)])


def _sentence(
    labels: list[str], share_U: np.ndarray, left_2xU: np.ndarray, at_2: np.ndarray
) -> str:
    most = _most(share_U)
    answers = []
    for u in most:
        a, log_n = left_2xU[:, u]
        if not np.isfinite([a, log_n]).all():
            answers.append(f"{labels[u]} the law would have no optimum")
            continue
        answers.append(
            f"{labels[u]} N_opt at {BEYOND:g} times the largest budget would be "
            f"{100 * np.expm1(log_n - at_2[1]):+.3g} % and a {a:.3f} instead of {at_2[0]:.3f} "
            f"({100 * share_U[u]:.0f} % of an interval's width)"
        )
    count = int((share_U > _MUCH).sum())
    others = f"; {count - len(most)} more move it so far" if count > len(most) else ""
    return (
        f"The answer hangs on single rows: without {', without '.join(answers)}{others}. Repeat "
        f"{'this run' if count == 1 else 'these runs'} before relying on it."
    )
