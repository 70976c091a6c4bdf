"""`fit`: from a table of runs to a law, by any of the three approaches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.parametric import fit_law, law_optimum
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.catalogue.find import AUTO, LawLike, law_or_default
from scaling_jax.laws.conventions import BEYOND, DRAWS, LEVEL, READ_OFFS, Count, ReadOff
from scaling_jax.laws.data_limit import UNIQUE_TOKENS
from scaling_jax.laws.diagnostics.grid_centring import drifting_grid
from scaling_jax.laws.diagnostics.known_floor import known_floor
from scaling_jax.laws.diagnostics.mixed_recipes import missing_runs, mixed_knobs, recipe_of
from scaling_jax.laws.diagnostics.repeated_text import repetition_notes, unique_tokens_of
from scaling_jax.laws.diagnostics.replicates import seed_notes
from scaling_jax.laws.diagnostics.sweeps import sweep_note
from scaling_jax.laws.diagnostics.table_slopes import slope_notes
from scaling_jax.laws.diagnostics.trained_sizes import size_notes
from scaling_jax.laws.diagnostics.units import questions
from scaling_jax.laws.extrapolation.judgement import certificate_notes, form_notes, rung_notes
from scaling_jax.laws.extrapolation.row_weights import weighted_rows
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.options import Options, Resampling, require_applicable
from scaling_jax.laws.tables.check import repeated
from scaling_jax.laws.tables.layouts import loss_unit, notes_on
from scaling_jax.laws.tables.read import Table, load_table
from scaling_jax.laws.tables.select import Rows, repeats_runs, usable_rows

if TYPE_CHECKING:
    import pandas as pd

RUNS_RESAMPLED = Note(
    NoteCode.RUNS_RESAMPLED,
    "Several rows share a run_id, and rows of one run are not independent, so whole runs were "
    "resampled; resampling 'residuals' or 'rows' takes every row for a run of its own.",
)


def fit(
    table: Table,
    *,
    approach: int = 3,
    law: LawLike | None = None,
    bootstrap: int = DRAWS,
    level: float = LEVEL,
    count: Count = "total",
    seed: int = 0,
    resampling: Resampling | None = None,
    training_curves: "pd.DataFrame | None" = None,
    isoflop_curve: ReadOff | None = None,
    corrected: bool = False,
    objective: str | Objective | None = None,
    fixed: Mapping[str, float] | None = None,
    prior: Mapping[str, tuple[float, float]] | None = None,
    within: float | None = None,
    weight_by_compute: float | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Fit:
    """Fit a scaling law, or the compute-optimal frontier, by an approach of Hoffmann et al. 2022.

    >>> import numpy as np
    >>> from scaling_jax import laws
    >>> n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 6), [1e9, 4e9, 2e10]))
    >>> table = {"params": n, "tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28}
    >>> fit = laws.fit(table, bootstrap=0)
    >>> round(fit.params["alpha"], 3), round(fit.optimal(1e23).params / 1e9)
    (0.34, 14)

    Args:
        table: losses, one row per run: `params`, `tokens`, `loss` and, where known, `flops`,
            `budget`, `run_id`, `status`; a frame, a mapping from columns to values, or a file
            that `read_table` reads.
        approach: 1, the envelope of training curves; 2, IsoFLOP parabolas; 3, a law L(N, D).
        law: the law of approach 3, by default `chinchilla`: a name in `laws.LAWS`,
            `FILE.py:NAME`, a `Law`, or a function as `law_from_function` takes it; `auto`
            averages forms by the evidence of the rows, and takes none for exact. The table needs
            the columns that the law reads and predicts.
        bootstrap: resamples behind the intervals; 0 fits only the point estimate.
        level: of the intervals.
        count: which parameters N counts, where the table holds several.
        seed: of the resamples.
        resampling: `residuals` of the fit, each with its own row and a random sign, whose
            intervals hold the truth as often as `level` says (docs/coverage.md); `rows` with
            replacement, wider on small designs; or whole `runs`, for tables with several rows
            of one run, the default where `run_id` repeats. Only approach 3 has the choice:
            approach 1 resamples runs, approach 2 residuals.
        training_curves: losses along training, several rows per run, for approach 1; without
            them approach 1 reads the table itself as curves.
        isoflop_curve: what approach 2 puts through each budget's runs: `parabola`, `window` (a
            parabola through the sizes within a factor of 4 of the best) or `akima`; or
            `surface`, one law L(N, D) through the runs of all budgets.
        corrected: take out of approach 2 the bias that its curves have on the fitted law.
        objective: what approach 3 minimizes: `huber` (delta 1e-3, on log loss, summed),
            `gaussian` (maximum likelihood, noise on log loss), `log-squares`, `squares`, or
            `lower-envelope`.
        fixed: constants of the law to hold, such as `{"E": 1.69}`.
        prior: constants of the law that are known beside the rows, as centre and standard
            deviation, such as `{"E": (1.6, 0.1)}`.
        within: fit only rows whose loss lies at most this share above the frontier of a first fit,
            such as 0.02.
        weight_by_compute: weigh rows by (C / C_max) to this power, such as 0.5.
        columns: our name -> the table's, such as `{"params": "n_params"}`.
        unit: of the loss, such as `nats per token` or `bits per byte`; by default what the table
            says, and no unit where it says none.

    Raises:
        InputError: a table that cannot be read or cannot answer.
    """
    if approach not in (1, 2, 3):
        raise InputError(f"unknown approach {approach}: use 1 (envelope), 2 (IsoFLOP) or 3 (law)")
    options = Options(
        objective=objective,
        fixed=dict(fixed or {}),
        prior=dict(prior or {}),
        within=within,
        weight_by_compute=weight_by_compute,
        isoflop_curve=isoflop_curve,
        corrected=corrected,
        resampling=resampling,
        bootstrap=bootstrap,
        level=level,
        count=count,
        seed=seed,
    )
    require_applicable(approach, {**({} if law is None else {"law": law}), **options.given()})
    chosen = law_or_default(law)
    if law == AUTO and objective is not None:
        raise InputError(
            f"the objective {options.objective!r} has no effect on the law {AUTO!r}, which weighs "
            "forms by the evidence of the rows: leave it out, or name a law"
        )
    frame = load_table(table, chosen, columns)
    known_unit = loss_unit(frame, unit)
    rows = usable_rows(frame, count, chosen)
    options = replace(options, objective=objective or chosen.default_objective.name)
    found: Fit
    if approach == 1:
        from scaling_jax.laws.approaches.envelope import fit_envelope

        found = fit_envelope(rows, frame if training_curves is None else training_curves, options)
    elif approach == 2:
        from scaling_jax.laws.approaches.isoflop import fit_isoflop

        curve = isoflop_curve or READ_OFFS[0]
        found = fit_isoflop(rows, options, method=curve, corrected=corrected)
    else:
        notes: tuple[Note, ...] = ()
        if resampling is None and repeats_runs(rows):
            options, notes = replace(options, resampling="runs"), (RUNS_RESAMPLED,)
        if law == AUTO:
            from scaling_jax.laws.extrapolation.average import fit_average

            found = fit_average(rows, options, notes)
            beyond = BEYOND * float(rows.flops.max())
            ranges = certificate_notes(rows, beyond, level, found)
            found = replace(found, diagnostics=(*found.diagnostics, *ranges))
        else:
            rows = weighted_rows(rows, options)
            point = law_optimum(rows, chosen, options)
            found = fit_law(rows, chosen, point, options, notes)
            from scaling_jax.laws.extrapolation.named import with_form_error

            found = with_form_error(found, point, rows, options)
    provenance = {**found.provenance, "recipe": recipe_of(frame, chosen.response)}
    if (stock := unique_tokens_of(frame)) is not None:
        provenance[UNIQUE_TOKENS] = stock
    found = replace(found, unit=known_unit, provenance=provenance)
    return replace(found, diagnostics=_notes(frame, rows, found, chosen))


def _notes(frame: "pd.DataFrame", rows: Rows, found: Fit, law: Law) -> tuple[Note, ...]:
    """What the table says, then what the fit says."""
    twice = repeated(frame)
    doubt = f"Are rows there twice? In the table, {twice}, and each counts."
    return (
        *((Note(NoteCode.LOSS_RISES, f"{found.rising}."),) if found.rising else ()),
        *(slope_notes(rows) if isinstance(found, LawFit) and found.members else ()),
        *(form_notes(found) if isinstance(found, LawFit) else ()),
        *size_notes(rows, found),
        *repetition_notes(frame, found),
        *notes_on(frame),
        *rung_notes(rows),
        *((Note(NoteCode.REPEATED_ROWS, doubt),) if twice else ()),
        *missing_runs(frame),
        *mixed_knobs(frame),
        *known_floor(frame, found, law),
        *(() if found.approach == 1 else sweep_note(frame, law, found.objective)),
        *(() if found.approach == 1 else seed_notes(frame, rows, found, law)),
        *questions(rows, found.unit),
        *(rows.compute_notes if found.exponents or found.without_optimum else ()),
        *found.diagnostics,
        *drifting_grid(rows, found),
    )
