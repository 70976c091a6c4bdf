"""The average of several forms by the evidence of the rows: what `auto` fits.

Every form is a case of the law `skaling`, fitted with a misfit that neighbouring runs share. What
the forms say together of runs beyond the data is again described by that law, to within a small
part of its error, so that a fit by `auto` is a fit of one law.
"""

import dataclasses

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.approaches.parametric import (
    require_above_floor,
    require_comparable_weights,
    require_identifiable,
)
from scaling_jax.laws.catalogue import CHINCHILLA, SKALING
from scaling_jax.laws.extrapolation.candidates import candidates
from scaling_jax.laws.extrapolation.described import described
from scaling_jax.laws.extrapolation.draws import drawn_constants, noise_of_runs
from scaling_jax.laws.extrapolation.judgement import average_note
from scaling_jax.laws.extrapolation.rates import error_of_form, errors_of_optimum
from scaling_jax.laws.extrapolation.rolled import Rolled, roll
from scaling_jax.laws.extrapolation.row_weights import weighted_rows
from scaling_jax.laws.extrapolation.surface import error_surface
from scaling_jax.laws.form_error import FormError
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.members import Member
from scaling_jax.laws.notes import Note
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.select import Rows

OBJECTIVE = "evidence"


def fit_average(rows: Rows, options: Options, notes: tuple[Note, ...] = ()) -> LawFit:
    """The average of every form that the options leave, with its error beyond the data.

    Args:
        rows: usable rows of a table, with params, tokens and FLOPs.
        options: of the fit; constants held and priors restrict the forms, a window and weights
            the rows.
        notes: what to say before what is averaged.

    Raises:
        InputError: rows that do not tell size from data, options that leave no form, or a
            constant that the laws do not have.
    """
    # Priors give every table an answer, also one whose rows do not tell size from data.
    require_identifiable(rows, CHINCHILLA, options)
    require_above_floor(rows, SKALING, options)
    require_comparable_weights(rows)
    forms = candidates(options)
    if not forms:
        raise InputError("the constants held and the priors leave no form: give fewer")
    rows = weighted_rows(rows, options)
    rolled = roll(rows, forms, with_cutoffs=options.bootstrap > 0)
    whole, constants_P = rolled.whole, rolled.constants_KxP[0]
    weight_J = whole.weight_JxC.sum(axis=1)
    order = np.argsort(-weight_J, kind="stable").tolist()
    found = LawFit(
        definition=SKALING,
        params=dict(zip(SKALING.names, constants_P.tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective={"name": OBJECTIVE},
        n_points=len(rows),
        n_dropped=rows.dropped,
        diagnostics=(),
        flops_range=(float(rows.flops.min()), float(rows.flops.max())),
        reference_flops=float(rows.flops.max()),
        provenance=options.provenance(rows),
        compute=rows.compute,
        ranges={n: (float(v.min()), float(v.max())) for n, v in rows.variables.items()},
        members=tuple(
            Member(
                form=forms[j].name,
                within=options.within,
                compute_power=options.weight_by_compute or 0.0,
                score=_score(rolled.errors_JxK[j]),
                weight=float(weight_J[j]),
                constants=tuple(described(whole.of_form(j)).tolist()),
            )
            for j in order
        ),
    )
    if options.bootstrap:
        found = _with_intervals(found, rows, rolled, order, options)
    return dataclasses.replace(found, diagnostics=(*notes, average_note(found)))


def _with_intervals(
    found: LawFit, rows: Rows, rolled: Rolled, order: list[int], options: Options
) -> LawFit:
    """The fit with draws of its constants and with the error of its predictions."""
    drawn = drawn_constants(rolled.whole, options, rolled.stretch)
    members = tuple(
        dataclasses.replace(member, n_draws=len(drawn[j]))
        for j, member in zip(order, found.members, strict=True)
    )
    return dataclasses.replace(
        found,
        members=members,
        draws_BxP=np.concatenate([drawn[j] for j in order]),
        noise_N=noise_of_runs(rolled.whole),
        form_error=_form_error(rows, rolled),
        error_surface=error_surface(rolled.whole, rolled.constants_KxP[0], rolled.stretch),
    )


def restricted(found: LawFit, form: str) -> LawFit:
    """The fit of one form of an average alone, without intervals.

    Args:
        found: an average.
        form: the form's name.

    Raises:
        InputError: the average has no such form.
    """
    for member in found.members:
        if member.form == form:
            return dataclasses.replace(
                found,
                params=dict(zip(SKALING.names, member.constants, strict=True)),
                members=(dataclasses.replace(member, weight=1.0, n_draws=0),),
                draws_BxP=None,
                noise_N=None,
                form_error=None,
                error_surface=None,
                diagnostics=(),
            )
    raise InputError(f"the fit averages no form {form!r}: fit with fewer options")


def _score(errors_K: np.ndarray) -> float:
    """The root mean square of a form's errors beyond cut-offs; NaN without any."""
    return float(np.sqrt(np.mean(errors_K**2))) if len(errors_K) else float("nan")


def _form_error(rows: Rows, rolled: Rolled) -> FormError:
    """The growth of the average's own errors beyond the cut-offs."""

    def log_params(k: int, flops_G: np.ndarray) -> np.ndarray:
        constants_P = rolled.constants_KxP[k]
        at = allocation.form_frontier(SKALING, constants_P, flops_G, rows.compute)
        with np.errstate(all="ignore"):
            log_params_G: np.ndarray = np.log(at.params)
        return log_params_G

    errors_K = errors_of_optimum(rows, rolled.cutoffs, log_params)
    return error_of_form(rolled.cutoffs, rolled.averaged_K, errors_K, (), rolled.reach)
