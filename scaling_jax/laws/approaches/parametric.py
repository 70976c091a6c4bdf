"""Approach 3: a law fitted to all runs at once (Hoffmann et al. 2022, section 3.3)."""

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import Law, PowerSum
from scaling_jax.laws.catalogue.from_function import require_works
from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.diagnostics import fit_quality
from scaling_jax.laws.diagnostics.influence import influential
from scaling_jax.laws.law_fit import FALLING, LawFit
from scaling_jax.laws.notes import Note
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.priors import priors_of
from scaling_jax.laws.solver.convergence import converged, require_converged
from scaling_jax.laws.solver.optimum import PointFit, optimum
from scaling_jax.laws.tables.select import Rows
from scaling_jax.laws.uncertainty.bootstrap import draws, noise_of_rows
from scaling_jax.laws.uncertainty.noise_scale import summary

# Double precision has sixteen digits; a fit needs some for the rows of least weight.
_MOST_WEIGHT_RATIO = 1e9
# A prior that has the floor above a loss by so many deviations contradicts the rows.
_FARTHEST = 3.0
# A share of the loss, over the range of a variable: more than rounding.
_LEAST_RISE = 1e-6


def law_optimum(rows: Rows, law: Law, options: Options) -> PointFit:
    """The law at the global optimum of the objective.

    Args:
        rows: the usable rows of a table.
        law: any law of their columns.
        options: of the fit.

    Raises:
        InputError: an unknown objective, a constant that cannot be held, rows that cannot
            determine the law, or a function that does not give one finite number per row.
    """
    require_identifiable(rows, law, options)
    require_above_floor(rows, law, options)
    require_comparable_weights(rows)
    if isinstance(law, FunctionLaw):
        require_works(law, rows.variables)
    point = optimum(
        law,
        rows.variables,
        rows.response,
        rows.weight,
        objective=objective_named(options.objective or law.default_objective),
        fixed=options.fixed,
        priors=priors_of(law, options.prior),
    )
    _require_falling(law, rows, point)
    require_converged(law, point, len(rows))
    return point


def fit_law(
    rows: Rows, law: Law, point: PointFit, options: Options, notes: tuple[Note, ...] = ()
) -> LawFit:
    """The law at its optimum, with constants refitted to resamples and notes on the fit.

    Args:
        rows: the usable rows of a table.
        law: any law of their columns.
        point: the law's optimum on the rows.
        options: of the fit.
        notes: what to say first, such as what was resampled.
    """
    objective = objective_named(options.objective or law.default_objective)
    noise_N = noise_of_rows(point, objective)
    # Runs of equal size and data show the noise too, where their losses differ.
    n_distinct = _distinct(rows, law, rows.response)
    # What a prior knows of a constant takes the place of rows.
    n_free = len({*law.free_names(options.fixed)} - {*law.priors, *options.prior})
    n_resamples = options.bootstrap if n_distinct >= fit_quality.ROWS_PER_CONSTANT * n_free else 0
    draws_BxP = draws(
        law, rows, point, noise_N, objective, options.resampled, n_resamples, options.seed
    )
    return LawFit(
        definition=law,
        params=dict(zip(law.names, point.constants_P.tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective=summary(objective, point, rows.weight),
        n_points=len(rows),
        n_dropped=rows.dropped,
        diagnostics=(
            *notes,
            *fit_quality.law_notes(law, rows, point, draws_BxP, objective),
            *(fit_quality.saturation_notes(n_distinct, n_free) if options.bootstrap else ()),
            *_influence_notes(rows, law, point, draws_BxP, options),
        ),
        flops_range=(float(rows.flops.min()), float(rows.flops.max())),
        reference_flops=float(rows.flops.max()),
        provenance=options.provenance(rows),
        compute=rows.compute,
        draws_BxP=draws_BxP,
        noise_N=noise_N,
        ranges={n: (float(v.min()), float(v.max())) for n, v in rows.variables.items()},
        is_logged=law.is_logged(objective),
    )


def _influence_notes(
    rows: Rows, law: Law, point: PointFit, draws_BxP: np.ndarray | None, options: Options
) -> tuple[Note, ...]:
    """Notes on runs or rows that move the answer, and on too few runs to resample."""
    by_run = options.resampled == "runs"
    note = influential(
        law,
        rows,
        point,
        draws_BxP,
        objective_named(options.objective or law.default_objective),
        level=options.level,
        by_run=by_run,
    )
    return (*((note,) if note else ()), *(fit_quality.run_notes(rows) if by_run else ()))


def require_comparable_weights(rows: Rows) -> None:
    """Refuse weights beside which the other rows are lost in rounding."""
    low, high = int(rows.weight.argmin()), int(rows.weight.argmax())
    if rows.weight[high] > _MOST_WEIGHT_RATIO * rows.weight[low]:
        raise InputError(
            f"{rows.label[high]}, column 'weight': {rows.weight[high]:.4g} is so far above the "
            f"{rows.weight[low]:.4g} at {rows.label[low]} that the fit would see one of the two "
            f"alone: keep weights within a factor of {_MOST_WEIGHT_RATIO:.0e}"
        )


def _require_falling(law: Law, rows: Rows, point: PointFit) -> None:
    """Refuse an optimum that is none because the losses rise with what should lower them.

    A falling power law fits such losses best where its coefficients or exponents run off.
    """
    if converged(point) or not rows.is_loss:
        return
    logs = {name: np.log(rows.variables[name]) for name in FALLING if name in rows.variables}
    logs = {name: x_N - x_N.mean() for name, x_N in logs.items() if name in law.variables}
    if not logs:
        return
    x_NxV = np.stack([*logs.values(), np.ones(len(rows))], axis=1)
    slopes = np.linalg.lstsq(x_NxV, np.log(rows.loss), rcond=None)[0]
    rises = [
        f"{name}, by {100 * np.expm1(slope * np.log(10)):.2g} % per tenfold"
        for name, slope in zip(logs, slopes, strict=False)
        if slope * np.ptp(logs[name]) > _LEAST_RISE
    ]
    if rises:
        raise InputError(
            f"the loss rises with {' and with '.join(rises)}, but the law "
            f"{law.name!r} falls: check the columns for their units and for runs that diverged, or "
            "add runs that span more of it"
        )


def require_above_floor(rows: Rows, law: Law, options: Options) -> None:
    """Refuse a floor that is held, or that a prior puts, above a measured loss."""
    floor = options.fixed.get("E") if isinstance(law, PowerSum) else None
    if floor is not None and floor >= rows.loss.min():
        worst = int(rows.loss.argmin())
        raise InputError(
            f"the floor E is held at {floor}, but {rows.label[worst]}, column 'loss': "
            f"{rows.loss[worst]:.4g} is not above it: hold it lower, or fit it"
        )
    if isinstance(law, PowerSum) and "E" in options.prior:
        centre, deviation = options.prior["E"]
        if centre - _FARTHEST * deviation >= rows.loss.min():
            worst = int(rows.loss.argmin())
            raise InputError(
                f"the prior E={centre:g}:{deviation:g} puts the floor above {rows.label[worst]}, "
                f"column 'loss': {rows.loss[worst]:.4g}: give a lower floor or a wider prior"
            )


def _distinct(rows: Rows, law: Law, *beside: np.ndarray) -> int:
    """How many rows differ in what the law reads, or in the columns beside that."""
    columns = [*(rows.variables[name] for name in law.variables), *beside]
    return len(np.unique(np.stack(columns), axis=1).T)


def require_identifiable(rows: Rows, law: Law, options: Options) -> None:
    """Refuse what no optimizer can answer: fewer rows than constants, a variable held fixed."""
    distinct = _distinct(rows, law)
    n_free = len(law.free_names(options.fixed))
    if distinct <= n_free:
        raise InputError(
            f"{distinct} distinct rows of {', '.join(law.variables)} cannot determine the "
            f"{n_free} constants of {law.name!r}: add runs, at least {n_free + 1} distinct ones, "
            "or hold some constants"
        )
    for name in law.variables:
        n_values = len(np.unique(rows.variables[name]))
        least = law.least_values(name, options.fixed)
        if n_values < least:
            raise InputError(
                f"the rows have {n_values} distinct values of {name}, too few to fit how "
                f"{law.response} depends on it: add runs with other {name}, at least {least} values"
            )
    if not (isinstance(law, PowerSum) and {"params", "tokens"}.issubset(law.variables)):
        # A function may read no more than a product or a ratio of its columns.
        return
    ratio = rows.tokens / rows.params
    if ratio.max() / ratio.min() < 1.01:
        raise InputError(
            f"every row has {ratio.mean():.3g} tokens per parameter, so the effects of params and "
            "tokens cannot be told apart: add runs with other ratios"
        )
