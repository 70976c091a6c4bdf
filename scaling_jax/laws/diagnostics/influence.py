"""Rows that a fit hangs on: what it would say without each of them."""

import numpy as np

from scaling_jax.laws.allocation import Interval, form_exponents, form_frontier, interval
from scaling_jax.laws.catalogue import Form
from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.optimum import PointFit, fit_point, refit_resamples
from scaling_jax.laws.tables.rows import Rows

# The distance from the middle of an interval to its end, as a share of its width.
_MUCH = 0.5
# Among more rows no single one weighs much, and refits without each would take seconds.
_MOST_UNITS = 500
_TOLD = 3
_ROUNDING = 1e-6


def influential(
    form: Form,
    rows: Rows,
    point: PointFit,
    draws_BxP: np.ndarray | None,
    objective: Objective,
    *,
    level: float,
    by_run: bool,
) -> str:
    """The rows (or runs) without which the answer would lie at the end of its interval or beyond.

    The answer is the exponent a and N_opt at 10 times the largest budget. Every row is left out
    once and the law fitted again, all in the program that fits the resamples. Empty where no row
    moves the answer so far, and where there is nothing to compare with: no frontier, no
    resamples, more than 500 rows, or so few that none can be spared.
    """
    labels, unit_N = _units(rows, by_run)
    spare = len(labels) - 1 > len(form.names)
    if draws_BxP is None or form.frontier is None or not spare or len(labels) > _MOST_UNITS:
        return ""
    kept_UxN = unit_N != np.arange(len(labels))[:, None]
    left_out_UxP = refit_resamples(
        form,
        rows.variables,
        point,
        np.broadcast_to(rows.loss, (len(labels), len(rows))),
        rows.weight * kept_UxN,
        objective=objective,
    )
    flops = BEYOND * float(rows.flops.max())
    at, drawn, left = (
        _answers(form, p, flops) for p in (point.constants_P, draws_BxP, left_out_UxP)
    )
    width_2 = np.array([_width(interval(draws, level)) for draws in drawn])
    if not np.isfinite(width_2).all():
        return ""
    # A refit without a frontier has moved it as far as can be.
    share_2xU = np.nan_to_num(np.abs(left - at[:, None]), nan=np.inf) / width_2[:, None]
    share_U = share_2xU.max(axis=0)
    if not (share_U > _MUCH).any():
        return ""
    for u in _most(share_U):
        # A refit from the optimum with the row may have stayed in a local one.
        alone = fit_point(
            form, rows.variables, rows.loss, rows.weight * kept_UxN[u], objective=objective
        )
        left[:, u] = _answers(form, alone.constants_P, flops)
    share_U = (np.nan_to_num(np.abs(left - at[:, None]), nan=np.inf) / width_2[:, None]).max(0)
    return _sentence(labels, share_U, left, at) if (share_U > _MUCH).any() else ""


def _most(share_U: np.ndarray) -> list[int]:
    """Those that move the answer most, of those that move it much."""
    order = np.argsort(-share_U, kind="stable")
    return [int(u) for u in order[:_TOLD] if share_U[u] > _MUCH]


def _width(bounds: Interval) -> float:
    """Of an interval, but no less than rounding moves an answer where there is no noise."""
    low, high = bounds
    return max(high - low, _ROUNDING) if np.isfinite([low, high]).all() else np.inf


def _units(rows: Rows, by_run: bool) -> tuple[list[str], np.ndarray]:
    """What is left out at a time, in words, and which of them each row belongs to."""
    if by_run and rows.run_id is not None:
        names, unit_N = np.unique(rows.run_id, return_inverse=True)
        return [f"run {name}" for name in names], unit_N
    cells = zip(rows.label, rows.params, rows.tokens, rows.loss, strict=True)
    said = [f"{at} ({n:.3g} params, {d:.3g} tokens, loss {loss:.4g})" for at, n, d, loss in cells]
    return said, np.arange(len(rows))


def _answers(form: Form, constants_P: np.ndarray, flops: float) -> np.ndarray:
    """The exponent a and log N_opt, `2` before the axes of the constants."""
    frontier = form_frontier(form, constants_P, flops)
    with np.errstate(all="ignore"):
        return np.stack([form_exponents(form, constants_P)["a"], np.log(frontier.params)])


def _sentence(
    labels: list[str], share_U: np.ndarray, left_2xU: np.ndarray, at_2: np.ndarray
) -> str:
    most = _most(share_U)
    said = []
    for u in most:
        a, log_n = left_2xU[:, u]
        if not np.isfinite([a, log_n]).all():
            said.append(f"{labels[u]} the law would have no optimum")
            continue
        said.append(
            f"{labels[u]} N_opt at {BEYOND:g} times the largest budget would be "
            f"{100 * np.expm1(log_n - at_2[1]):+.3g} % and a {a:.3f} instead of {at_2[0]:.3f} "
            f"({100 * share_U[u]:.0f} % of an interval's width)"
        )
    count = int((share_U > _MUCH).sum())
    others = f"; {count - len(most)} more move it so far" if count > len(most) else ""
    return (
        f"The answer hangs on single rows: without {', without '.join(said)}{others}. Repeat "
        f"{'this run' if count == 1 else 'these runs'} before relying on it."
    )
