"""What rolled cut-offs say of a fit, in sentences: what was averaged, and what cannot be known."""

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import BEYOND, LEVEL
from scaling_jax.laws.extrapolation.certificate import certify_rows
from scaling_jax.laws.extrapolation.cutoffs import ENOUGH
from scaling_jax.laws.extrapolation.suspect_rungs import suspect_rungs
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.members import Member
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.select import Rows

# A study is not worth its compute if the prediction may be off by this at ten times its compute.
_USELESS = 0.05


def form_notes(found: LawFit) -> tuple[Note, ...]:
    """Warnings where cut-offs are few, or where they show that nothing predicts the table."""
    error = found.form_error
    if error is None:
        return ()
    notes = []
    deviation = _deviation(found)
    if deviation > _USELESS:
        text = (
            f"Nothing here predicts larger runs: below {len(error.cutoffs)} cut-offs in compute "
            "the fit missed the runs above by so much that a prediction at "
            f"{BEYOND:g} times the largest budget errs by {100 * deviation:.1f} % (one standard "
            "deviation). Check the runs for mixed recipes and badly tuned sizes before the answer "
            "is used."
        )
        notes.append(Note(NoteCode.EXTRAPOLATION_REFUSED, text))
    if len(error.cutoffs) < ENOUGH:
        few = f"{len(error.cutoffs)} of {ENOUGH} cut-offs" if error.cutoffs else "no cut-off"
        text = (
            f"The table leaves {few} in compute with enough runs below, so that the error of the "
            "law's form is mostly what other published tables and simulated laws of other forms "
            "show, not this table: add smaller budgets to measure it."
        )
        notes.append(Note(NoteCode.FORM_ERROR_UNMEASURED, text))
    return tuple(notes)


def _deviation(found: LawFit) -> float:
    """Standard deviation of the predicted loss far beyond the data."""
    assert found.form_error is not None
    if found.error_surface is None:
        return found.form_error.loss_deviation(BEYOND)
    try:
        at = _beyond(found)
    except InputError:
        return 0.0
    return found.error_surface.of(at["params"], at["tokens"])


def average_note(found: LawFit) -> Note:
    """What was averaged, with the errors of the best and what each of these would say."""
    names = [member.form for member in found.members]
    if len(names) == 1:
        text = f"The fit is of the form {names[0]} alone, with a misfit that near runs share."
        return Note(NoteCode.LAW_CHOSEN, text)
    at = _beyond(found)
    best, second = found.members[:2]
    value, first, other = (
        float(found.definition.value(np.array(constants), at))
        for constants in (list(found.params.values()), best.constants, second.constants)
    )
    return Note(
        NoteCode.LAW_CHOSEN,
        f"The fit averages the forms {', '.join(names)} by the evidence of the rows: {best.form} "
        f"has the weight {best.weight:.2f}{_errors_of(best)}; {second.form} has {second.weight:.2f}"
        f"{_errors_of(second)}. At the optimum of {BEYOND:g} times the largest budget the "
        f"average says {value:.4f}, the first alone {first:.4f}, the second {other:.4f}.",
    )


def _errors_of(member: Member) -> str:
    """What a form erred by beyond cut-offs, in words; empty where there are none."""
    if np.isnan(member.score):
        return ""
    return f", with errors of {100 * member.score:.2f} % near a cut-off"


def certificate_notes(
    rows: Rows, flops: float, level: float = LEVEL, fitted: Fit | None = None
) -> tuple[Note, ...]:
    """The range of the optimal loss at a budget that no single form is behind, or its refutation.

    Args:
        rows: the usable rows of a table.
        flops: the budget.
        level: of the bands together.
        fitted: of the rows; the note calls its optimal loss out where that lies outside the range.

    Returns:
        None at all where the table has fewer than 3 budgets with a minimum between their smallest
        and largest size, and where the budget is not beyond them.
    """
    try:
        found = certify_rows(rows, flops, level)
    except InputError:
        return ()
    if flops <= found.bands.flops[-1]:
        return ()
    if found.low is None or found.high is None:
        return (Note(NoteCode.FORM_REFUTED, str(found)),)
    text = (
        "All positive mixtures of power laws with a floor that pass through the measured bands of "
        f"{len(found.bands.flops)} budgets give an optimal loss of {found.low:.4f} to "
        f"{found.high:.4f} at {found.flops:.3g} FLOPs."
    )
    law_says = None if fitted is None else _optimal_loss(fitted, flops)
    if law_says is not None and not found.low <= law_says <= found.high:
        text += (
            f" The fitted law says {law_says:.4f}, outside this range: it does not pass through "
            "the minima of the budgets."
        )
    return (Note(NoteCode.CERTIFICATE, text),)


def rung_notes(rows: Rows) -> tuple[Note, ...]:
    """A warning for each budget whose runs lie above what the other budgets imply."""
    if not rows.has_size_and_data or rows.budget is None:
        return ()
    return tuple(Note(NoteCode.BADLY_TUNED_RUNG, str(rung)) for rung in suspect_rungs(rows))


def _beyond(found: LawFit) -> dict[str, float]:
    optimum = found._frontier(_constants(found), BEYOND * found.flops_range[1])
    return {"params": float(optimum.params), "tokens": float(optimum.tokens)}


def _optimal_loss(fitted: Fit, flops: float) -> float | None:
    """The optimal loss by a fit; None where the fit has no optimum or knows no loss of it."""
    if fitted.without_optimum:
        return None
    loss = fitted._frontier(fitted._constants_P, flops).loss
    return None if loss is None else float(loss)


def _constants(found: LawFit) -> np.ndarray:
    return np.array(list(found.params.values()))
