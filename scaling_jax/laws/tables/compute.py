"""What C is in a table: one definition for all approaches, and the IsoFLOP groups in it."""

from dataclasses import dataclass, replace

import numpy as np

from scaling_jax.laws.conventions import SIX_N_D, Compute, Count
from scaling_jax.laws.notes import Note, NoteCode

# Rows of one budget lie this close together in FLOPs, and budgets farther apart than that.
BUDGET_GAP = 1.15
_BUDGET_SPREAD = 1.35
# Counts that differ by less than rounding of steps and of printed digits are the same count.
_SAME = 0.02
# Counts of FLOPs differ by what they leave out: by less than this even in the smallest models.
# Farther apart, a column is in other units.
FAR = 100.0

_N = {
    "total": "",
    "non_embedding": " with N non-embedding",
    "active": " with N active",
}


@dataclass(frozen=True)
class Cost:
    """C of every row.

    Attributes:
        flops: C, NaN where it is unknown.
        compute: how C depends on N and D.
        note: what C is; None where C is unknown.
    """

    flops: np.ndarray
    compute: Compute
    note: Note | None


def cost_of(
    params_N: np.ndarray,
    tokens_N: np.ndarray,
    flops_N: np.ndarray | None,
    budget_N: np.ndarray | None,
    count: Count,
) -> Cost:
    """C of the rows: the column `flops`, else a `budget` that is not 6 N D, else 6 N D.

    A count without some parameters has C = 6 N D in these same parameters (Kaplan et al. 2020,
    section 2.1), so that the optimum at C lies on a curve of equal C.

    Args:
        params_N, tokens_N: N in the wanted count, and D.
        flops_N, budget_N: the columns, NaN in blank cells; None where the table lacks them.
        count: which parameters N counts.
    """
    product_N = SIX_N_D.of(params_N, tokens_N)
    if count != "total":
        return Cost(product_N, SIX_N_D, _definition(f"C is 6 N D{_N[count]}."))
    if flops_N is not None and not np.isnan(flops_N).all():
        return _of_column("flops", flops_N, params_N, tokens_N)
    if budget_N is not None and _is_another_count(budget_N / product_N):
        return _of_column("budget", budget_N, params_N, tokens_N)
    return Cost(product_N, SIX_N_D, _definition("C is 6 N D."))


def _definition(text: str) -> Note:
    return Note(NoteCode.COMPUTE_DEFINITION, text)


def groups_of(
    flops_N: np.ndarray, budget_N: np.ndarray | None
) -> tuple[np.ndarray | None, Note | None]:
    """The IsoFLOP group of each row, named by its FLOPs, and a note where these differ.

    A planned budget names its group where it agrees with its runs' C; otherwise the geometric
    mean of C does. Where one budget's runs are not of equal C, rows are grouped by C alone. A
    row without a budget belongs to a group of its own.
    """
    if budget_N is None or np.isnan(flops_N).any() or np.isnan(budget_N).all():
        return infer_budgets(flops_N), None
    planned_N = np.where(np.isnan(budget_N), flops_N, budget_N)
    ratio_N = planned_N / flops_N
    where = f"The column budget is {ratio_N.min():.3g} to {ratio_N.max():.3g} times C"
    named_N = planned_N.copy()
    for budget in np.unique(planned_N):
        at_N = planned_N == budget
        if np.ptp(np.log(flops_N[at_N])) > np.log(_BUDGET_SPREAD):
            text = f"{where}, so that runs of equal C are the groups."
            return infer_budgets(flops_N), Note(NoteCode.BUDGET_DIFFERS, text)
        if not 1 / BUDGET_GAP < np.median(ratio_N[at_N]) < BUDGET_GAP:
            named_N[at_N] = np.exp(np.log(flops_N[at_N]).mean())
    if (named_N == planned_N).all():
        return planned_N, None
    text = f"{where}: groups of runs are named by their C."
    return named_N, Note(NoteCode.BUDGET_DIFFERS, text)


def infer_budgets(flops: np.ndarray) -> np.ndarray | None:
    """Group rows of nearly equal FLOPs and name each group by its geometric mean.

    None where they do not fall into groups: a gap of at least 15 % between groups, and no group
    wider than 35 %.
    """
    if np.isnan(flops).any():
        return None
    order = np.argsort(flops)
    logs = np.log(flops[order])
    group = np.concatenate([[0], np.cumsum(np.diff(logs) > np.log(BUDGET_GAP))])
    budgets = np.empty_like(flops)
    for g in range(group[-1] + 1):
        members = logs[group == g]
        if members[-1] - members[0] > np.log(_BUDGET_SPREAD):
            return None
        budgets[order[group == g]] = np.exp(members.mean())
    return budgets


def _is_another_count(ratio_N: np.ndarray) -> bool:
    """Whether budgets count FLOPs in another way than 6 N D, rather than in other units."""
    known_N = ratio_N[~np.isnan(ratio_N)]
    if not len(known_N) or not 1 / FAR < np.median(known_N) < FAR:
        return False
    return bool((np.abs(np.log(known_N)) > np.log(BUDGET_GAP)).any())


def _of_column(
    source: str, column_N: np.ndarray, params_N: np.ndarray, tokens_N: np.ndarray
) -> Cost:
    known_N = ~np.isnan(column_N)
    compute = _relation(source, column_N[known_N], params_N[known_N], tokens_N[known_N])
    flops_N = np.where(known_N, column_N, compute.of(params_N, tokens_N))
    text = _sentence(compute, flops_N, params_N, tokens_N)
    return Cost(flops_N, compute, _definition(text))


def _relation(
    source: str, flops_K: np.ndarray, params_K: np.ndarray, tokens_K: np.ndarray
) -> Compute:
    """C / D of the rows as k N^p or k (N + n0), whichever is nearer; 6 N D where it is that."""
    if (np.abs(flops_K / SIX_N_D.of(params_K, tokens_K) - 1) < _SAME).all():
        return Compute(source)
    x_K, y_K = np.log(params_K), np.log(flops_K / tokens_K)
    constant = Compute(source, float(np.exp((y_K - x_K).mean())))
    if (np.abs(y_K - x_K - np.log(constant.factor)) < _SAME).all():
        return constant
    dx_K = x_K - x_K.mean()
    slope = float(dx_K @ y_K / (dx_K @ dx_K)) if np.ptp(x_K) else 1.0
    # C grows with N whatever is counted; where rows say otherwise, N does not explain their C.
    power = slope if slope > 0 else 1.0
    of_power = Compute(source, float(np.exp(y_K.mean() - power * x_K.mean())), power)
    candidates = [of_power, *_shifted(source, flops_K / tokens_K, params_K)]
    return min(
        (replace(each, misfit=_misfit(each, flops_K, params_K, tokens_K)) for each in candidates),
        key=lambda each: each.misfit,
    )


def _shifted(source: str, per_token_K: np.ndarray, params_K: np.ndarray) -> list[Compute]:
    """C / D = k (N + n0), fitted to relative differences; none unless k and n0 are positive.

    Attention adds FLOPs to those of the parameters, so n0 is positive; with a negative one C would
    be zero at a size that could be trained.
    """
    columns_Kx2 = np.stack([params_K / per_token_K, 1 / per_token_K], axis=1)
    scale_2 = columns_Kx2.max(axis=0)
    found_2 = np.linalg.lstsq(columns_Kx2 / scale_2, np.ones(len(params_K)), rcond=None)[0]
    slope, constant = (found_2 / scale_2).tolist()
    return [Compute(source, slope, 1.0, constant / slope)] if min(slope, constant) > 0 else []


def _misfit(
    compute: Compute, flops_K: np.ndarray, params_K: np.ndarray, tokens_K: np.ndarray
) -> float:
    return float(np.abs(np.log(flops_K / compute.of(params_K, tokens_K))).max())


def _sentence(
    compute: Compute, flops_N: np.ndarray, params_N: np.ndarray, tokens_N: np.ndarray
) -> str:
    ratio_N = flops_N / SIX_N_D.of(params_N, tokens_N)
    if compute.is_six_n_d:
        return f"C is {compute.column}, which is 6 N D."
    what = f"C is {compute.column}, {ratio_N.min():.3g} to {ratio_N.max():.3g} times 6 N D"
    off = compute.misfit
    misses = f"misses rows by up to {100 * np.expm1(off):.3g} %"
    misfit = f", which {misses}" if off > _SAME else ""
    if compute.undetermined:
        return (
            f"{what}; params and tokens do not determine it: {compute.relation} {misses}. A law "
            f"has no optimum in this C; without {compute.column}, C is 6 N D."
        )
    exponents = ", a and b between the least and the largest C" if compute.offset else ""
    return f"{what}; the optima of a law are taken at C = {compute.relation}{misfit}{exponents}."
