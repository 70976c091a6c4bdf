"""The average of many fits, weighted by how they predict larger runs: what `auto` fits.

Every candidate is a case of the law `skaling`, and so are the resampled fits of all of them. The
average of their predictions over sizes, horizons and compute is again described by that law, to
within a small part of its error, so that a fit by `auto` is a fit of one law.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.approaches.parametric import (
    require_above_floor,
    require_comparable_weights,
    require_identifiable,
)
from scaling_jax.laws.catalogue import CHINCHILLA, SKALING
from scaling_jax.laws.extrapolation.candidates import Candidate, candidates
from scaling_jax.laws.extrapolation.cutoffs import NEAR, reach, sizes_of
from scaling_jax.laws.extrapolation.described import described
from scaling_jax.laws.extrapolation.judgement import average_note
from scaling_jax.laws.extrapolation.rates import error_of_form, errors_of_optimum
from scaling_jax.laws.extrapolation.rolled import Rolled, roll, weighted
from scaling_jax.laws.extrapolation.row_weights import LEAST_KEPT
from scaling_jax.laws.extrapolation.simulated import simulated_average
from scaling_jax.laws.form_error import FormError, Simulated
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.members import Member
from scaling_jax.laws.notes import Note
from scaling_jax.laws.objectives import Objective, objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.select import Rows, clusters
from scaling_jax.laws.uncertainty.bootstrap import resamples, unseen_noise

if TYPE_CHECKING:
    from scaling_jax.laws.solver.many import Weighted

# Weights fall with the fourth power of the error: twice the error, a sixteenth of the weight. The
# best candidate alone, which a higher power comes to, predicted published tables worse.
_SELECTIVITY = 4.0
_EXACT = 1e-5  # errors below this are all alike
# With fewer cut-offs, scores are averaged in squares with so many of what published tables show of
# a form: the score at one cut-off alone can be good by luck.
_FEW, _USUAL_COUNTS = 2, 2.0


def fit_average(rows: Rows, options: Options, notes: tuple[Note, ...] = ()) -> LawFit:
    """The average of every candidate that the options leave, with its error beyond the data.

    Args:
        rows: usable rows of a table, with params, tokens and FLOPs.
        options: of the fit; what they hold or name restricts the candidates.
        notes: what to say before what is averaged.

    Raises:
        InputError: rows that do not tell size from data, options that leave no candidate, or a
            constant that the laws do not have.
    """
    objective = objective_named(options.objective or SKALING.default_objective)
    # Priors give every table an answer, also one whose rows do not tell size from data.
    require_identifiable(rows, CHINCHILLA, options)
    require_above_floor(rows, SKALING, options)
    require_comparable_weights(rows)
    chosen = candidates(options)
    rolled = roll(rows, chosen, objective)
    scores_J, weight_J = _weights(rows, chosen, rolled)
    constants_P = described(rows, rolled.constants_JxKxP[:, 0], weight_J)
    drawn, noise_N = _draws(rows, chosen, rolled, weight_J, objective, options)
    others: tuple[Simulated, ...] = ()
    if options.bootstrap:
        others = simulated_average(rows, chosen, rolled, weight_J, constants_P, objective)
    order = np.argsort(-weight_J, kind="stable").tolist()
    found = LawFit(
        definition=SKALING,
        params=dict(zip(SKALING.names, constants_P.tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective={"name": objective.name, "delta": objective.delta},
        n_points=len(rows),
        n_dropped=rows.dropped,
        diagnostics=(),
        flops_range=(float(rows.flops.min()), float(rows.flops.max())),
        reference_flops=float(rows.flops.max()),
        provenance=options.provenance(rows),
        compute=rows.compute,
        draws_BxP=np.concatenate([drawn[j] for j in order]) if options.bootstrap else None,
        noise_N=noise_N,
        ranges={n: (float(v.min()), float(v.max())) for n, v in rows.variables.items()},
        form_error=_form_error(rows, rolled, weight_J, others),
        members=tuple(
            Member(
                form=chosen[j].form.name,
                within=chosen[j].within,
                compute_power=chosen[j].compute_power,
                score=float(scores_J[j]),
                weight=float(weight_J[j]),
                constants=tuple(rolled.constants_JxKxP[j, 0].tolist()),
                n_draws=len(drawn[j]),
                is_shared=True,
            )
            for j in order
        ),
    )
    return dataclasses.replace(found, diagnostics=(*notes, average_note(found)))


def restricted(
    found: LawFit,
    rows: Rows,
    *,
    form: str | None = None,
    within: float | None = None,
    compute_power: float | None = None,
) -> LawFit:
    """The average of the members with one form, window or weighting, without intervals.

    It is what a fit with such options averages, since these do not change a member's score.

    Args:
        found: an average.
        rows: what it was fitted to.
        form, within, compute_power: of the members that are kept; None keeps any.

    Raises:
        InputError: no member is left.
    """
    wanted = {"form": form, "within": within, "compute_power": compute_power}
    asks = {name: value for name, value in wanted.items() if value is not None}
    kept = [m for m in found.members if all(getattr(m, n) == v for n, v in asks.items())]
    if not kept:
        named = ", ".join(f"{name} {value}" for name, value in asks.items())
        raise InputError(f"the fit averages no member of {named}: fit with fewer options")
    weight_J = np.array([member.weight for member in kept])
    weight_J = weight_J / weight_J.sum()
    constants_P = described(rows, np.array([member.constants for member in kept]), weight_J)
    return dataclasses.replace(
        found,
        params=dict(zip(SKALING.names, constants_P.tolist(), strict=True)),
        members=tuple(
            dataclasses.replace(member, weight=float(weight), n_draws=0)
            for member, weight in zip(kept, weight_J, strict=True)
        ),
        draws_BxP=None,
        noise_N=None,
        form_error=None,
        diagnostics=(),
    )


def _weights(
    rows: Rows, chosen: tuple[Candidate, ...], rolled: Rolled
) -> tuple[np.ndarray, np.ndarray]:
    """Every candidate's score and its weight."""
    n, n_cutoffs = len(rolled.errors_JxKxN), len(rolled.cutoffs) - 1
    errors_JxK = np.array([rolled.score(rows, errors_KxN) for errors_KxN in rolled.errors_JxKxN])
    squares_J = np.sum(np.square(errors_JxK), axis=1)
    score_J = np.sqrt(squares_J / n_cutoffs) if n_cutoffs else np.full(n, np.nan)
    pooled_J = score_J
    if n_cutoffs < _FEW:
        usual_J = np.array([candidate.form.usual for candidate in chosen])
        squares_J = squares_J + _USUAL_COUNTS * usual_J**2
        pooled_J = np.sqrt(squares_J / (n_cutoffs + _USUAL_COUNTS))
    weight_J = (np.maximum(pooled_J, _EXACT) / max(pooled_J.min(), _EXACT)) ** -_SELECTIVITY
    return score_J, weight_J / weight_J.sum()


def _form_error(
    rows: Rows, rolled: Rolled, weight_J: np.ndarray, others: tuple[Simulated, ...]
) -> FormError:
    """The growth of the average's own errors beyond the cut-offs."""
    averaged_KxN = np.einsum("j,jkn->kn", weight_J, rolled.errors_JxKxN)

    def log_params(k: int, flops_G: np.ndarray) -> np.ndarray:
        constants_Jx1xP = rolled.constants_JxKxP[:, k, None]
        found = allocation.form_frontier(SKALING, constants_Jx1xP, flops_G[None], rows.compute)
        with np.errstate(all="ignore"):
            log_JxG = np.log(found.params)
            known_JxG = np.isfinite(log_JxG) * weight_J[:, None]
            sum_G = (known_JxG * np.nan_to_num(log_JxG)).sum(axis=0)
            return np.where((all_G := known_JxG.sum(axis=0)) > 0.5, sum_G / all_G, np.nan)

    return error_of_form(
        rolled.cutoffs,
        rolled.score(rows, averaged_KxN),
        errors_of_optimum(rows, rolled.cutoffs, log_params),
        others,
        reach(sizes_of(rows), rolled.cutoffs[1:], rolled.above_KxN[0]),
    )


def _draws(
    rows: Rows,
    chosen: tuple[Candidate, ...],
    rolled: Rolled,
    weight_J: np.ndarray,
    objective: Objective,
    options: Options,
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Resampled constants of every candidate, and the noise of the heaviest one's rows.

    Candidates are resampled in proportion to their weights, each about its own fit, and all with
    the same random numbers: the b-th draw of each is of the same resample.
    """
    counts_J = _shares(weight_J, options.bootstrap)
    best = int(weight_J.argmax())
    drawn: dict[int, np.ndarray] = {}
    noise_N = np.empty(0)
    for form in dict.fromkeys(candidate.form for candidate in chosen):
        problem = weighted(form, rows, objective)
        mine = [j for j, candidate in enumerate(chosen) if candidate.form == form]
        noises = {
            j: _noise(rolled, j, problem, objective) for j in mine if counts_J[j] or j == best
        }
        if best in noises:
            noise_N = noises[best][_typical(rolled, best)]
        at_B = np.repeat(mine, counts_J[mine])
        drawn |= {j: np.empty((0, len(SKALING.names))) for j in mine}
        if not len(at_B):
            continue
        parts = [
            resamples(
                options.resampled,
                rows.loss,
                rows.loss * np.exp(-rolled.errors_JxKxN[j, 0]),
                noises[j],
                int(counts_J[j]),
                options.seed,
                clusters(rows) if options.resampled == "runs" else None,
                objective.quantile,
            )
            for j in mine
            if counts_J[j]
        ]
        response_BxN, times_BxN = map(np.concatenate, zip(*parts, strict=True))
        theta_BxP = problem.resampled(
            rolled.theta_JxKxP[at_B, 0],
            rolled.weights_JxKxN[at_B, 0] * times_BxN,
            response_BxN,
            rolled.least,
            np.full(len(at_B), rolled.noise_K[0]),
            np.concatenate([np.arange(counts_J[j]) for j in mine]),
        )
        constants_BxP = problem.constants(theta_BxP)
        drawn |= {j: constants_BxP[at_B == j] for j in mine}
    return drawn, noise_N


def _typical(rolled: Rolled, j: int) -> np.ndarray:
    """Rows that a candidate is fitted to, near the frontier where enough of them are."""
    used_N = rolled.weights_JxKxN[j, 0] > 0
    near_N = used_N & ~(rolled.above_KxN[0] > NEAR)
    typical_N: np.ndarray = near_N if near_N.sum() >= LEAST_KEPT else used_N
    return typical_N


def _shares(weight_J: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to the weights, with the given total."""
    ends = np.rint(np.cumsum(weight_J) * total).astype(int)
    counts: np.ndarray = np.diff(ends, prepend=0)
    return counts


def _noise(rolled: Rolled, j: int, problem: "Weighted", objective: Objective) -> np.ndarray:
    """Every row's scatter about the candidate's fit; rows without weight keep their residuals."""
    weight_N = rolled.weights_JxKxN[j, 0]
    used_N, noise_N = weight_N > 0, rolled.errors_JxKxN[j, 0].copy()
    noise = float(rolled.noise_K[0])
    leverage_N = problem.leverage(rolled.theta_JxKxP[j, 0], weight_N, rolled.least, noise)
    seen_N = unseen_noise(noise_N[used_N], leverage_N[used_N], objective)
    noise_N[used_N] = seen_N
    return np.asarray(noise_N)
