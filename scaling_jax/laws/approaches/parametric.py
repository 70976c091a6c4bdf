"""Approach 3: a law L(N, D), fitted to all runs at once (Hoffmann et al. 2022, section 3.3)."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.backtest import choose_law
from scaling_jax.laws.catalogue import PowerSum, power_sum_named
from scaling_jax.laws.diagnostics import fit_quality
from scaling_jax.laws.diagnostics.influence import influential
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.optimum import PointFit, optimum, refit
from scaling_jax.laws.tables.rows import Rows, clusters
from scaling_jax.laws.uncertainty.bootstrap import noise_of_rows, resamples
from scaling_jax.laws.uncertainty.noise_scale import summary

AUTO = "auto"


@dataclass(frozen=True)
class _Resampled:
    draws_BxP: np.ndarray | None
    noise_N: np.ndarray


def fit_law(rows: Rows, law: str, options: Options) -> Fit:
    """The law at the global optimum of the objective, with constants refitted to resamples.

    Args:
        rows: the usable rows of a table.
        law: a name; `auto` takes the law that best predicts larger runs from smaller ones.
        options: of the fit.

    Raises:
        InputError: an unknown law or objective, a constant that cannot be held, or rows that
            cannot determine the law.
    """
    law, chosen = choose_law(rows, options) if law == AUTO else (law, "")
    form, objective = power_sum_named(law), objective_named(options.objective)
    _require_identifiable(rows, form)
    _require_above_floor(rows, options)
    point = optimum(
        form, rows.variables, rows.loss, rows.weight, objective=objective, fixed=options.fixed
    )
    resampled = _resample(rows, form, point, options)
    return Fit(
        approach=3,
        law=law,
        params=dict(zip(form.names, point.constants_P.tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective=summary(objective, point, rows.weight),
        n_points=len(rows),
        n_dropped=rows.dropped,
        diagnostics=(
            *((chosen,) if chosen else ()),
            *fit_quality.law_notes(form, rows, point, resampled.draws_BxP, objective),
            *_influence_notes(rows, form, point, resampled, options),
        ),
        flops_range=(float(rows.flops.min()), float(rows.flops.max())),
        reference_flops=float(rows.flops.max()),
        provenance=options.provenance(rows),
        draws_BxP=resampled.draws_BxP,
        noise_N=resampled.noise_N,
    )


def _resample(rows: Rows, form: PowerSum, point: PointFit, options: Options) -> _Resampled:
    objective = objective_named(options.objective)
    noise_N = noise_of_rows(point, objective)
    if options.bootstrap == 0:
        return _Resampled(None, noise_N)
    fitted_N = rows.loss * np.exp(-point.residuals_N)
    loss_BxN, weights_BxN = resamples(
        options.resampling,
        rows.loss,
        fitted_N,
        noise_N,
        options.bootstrap,
        options.seed,
        clusters(rows) if options.resampling == "runs" else None,
        objective.quantile,
    )
    draws_BxP = refit(
        form,
        rows.variables,
        point,
        loss_BxN,
        weights_BxN * rows.weight,
        objective=objective,
    )
    return _Resampled(draws_BxP, noise_N)


def _influence_notes(
    rows: Rows, form: PowerSum, point: PointFit, resampled: _Resampled, options: Options
) -> tuple[str, ...]:
    """Notes on runs or rows that move the answer, and on too few runs to resample."""
    by_run = options.resampling == "runs"
    note = influential(
        form,
        rows,
        point,
        resampled.draws_BxP,
        objective_named(options.objective),
        level=options.level,
        by_run=by_run,
    )
    return (*((note,) if note else ()), *(fit_quality.run_notes(rows) if by_run else ()))


def _require_above_floor(rows: Rows, options: Options) -> None:
    floor = options.fixed.get("E")
    if floor is not None and floor >= rows.loss.min():
        worst = int(rows.loss.argmin())
        raise InputError(
            f"the floor E is held at {floor}, but {rows.label[worst]}, column 'loss': "
            f"{rows.loss[worst]:.4g} is not above it: hold it lower, or fit it"
        )


def _require_identifiable(rows: Rows, form: PowerSum) -> None:
    """Reject tables that leave constants undetermined, by too few rows or a constant variable."""
    if form.response != "loss" or not set(form.variables) <= set(rows.variables):
        raise InputError(
            f"the law {form.name!r} gives {form.response} from {', '.join(form.variables)}, and "
            "this fit is of losses by params and tokens: use laws.fit_custom"
        )
    distinct = len(np.unique(np.stack([rows.params, rows.tokens]), axis=1).T)
    if distinct <= len(form.names):
        raise InputError(
            f"{distinct} distinct (params, tokens) rows cannot determine the "
            f"{len(form.names)} constants of {form.name!r}: add runs, at least "
            f"{len(form.names) + 1} distinct ones"
        )
    for name in form.variables:
        values = rows.variables[name]
        if len(np.unique(values)) < 3:
            raise InputError(
                f"the rows have {len(np.unique(values))} distinct values of {name}, too few to "
                f"fit how loss depends on it: add runs with other {name}, at least 3 values"
            )
    ratio = rows.tokens / rows.params
    if ratio.max() / ratio.min() < 1.01:
        raise InputError(
            f"every row has {ratio.mean():.3g} tokens per parameter, so the effects of params and "
            "tokens cannot be told apart: add runs with other ratios"
        )
