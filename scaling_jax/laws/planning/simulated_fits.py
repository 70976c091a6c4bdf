"""Fits of many simulated studies at once: one program solves for all studies and resamples."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.fitting import fit
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options, applicable
from scaling_jax.laws.planning.known import KnownLaw
from scaling_jax.laws.solver.model import LEAST_SHARE
from scaling_jax.laws.solver.optimum import PointFit, refit, with_starts_for
from scaling_jax.laws.solver.search import leverages
from scaling_jax.laws.tables.select import usable_rows
from scaling_jax.laws.uncertainty.bootstrap import resamples, unseen_noise

if TYPE_CHECKING:
    import pandas as pd

# Fits solved together; more take memory without being faster.
_MOST_AT_ONCE = 8192
_OBJECTIVE = objective_named("huber")


def fit_laws(
    first: "pd.DataFrame",
    losses_MxSxN: np.ndarray,
    law: KnownLaw,
    options: Options,
) -> list[Fit]:
    """Fit the law's form to the losses `MxSxN` of all studies, starting each at the truth.

    Where a term vanishes in some study, all start at sizes of the term besides, as real fits do.

    The first study's table is also fitted as a real one, from many starts, and gives what all
    fits have in common.

    Raises:
        InputError: rows that cannot determine the law.
    """
    unresampled = dataclasses.replace(options, bootstrap=0)
    template = fit_table(first, 3, unresampled, law.form)
    values, names = usable_rows(first, law.count).variables, law.form.names
    truth = _at_truth(law, values)
    loss_MxN = losses_MxSxN.reshape(len(losses_MxSxN), -1)
    ones_MxN = np.ones_like(loss_MxN)
    constants_MxP = refit(law.form, values, truth, loss_MxN, ones_MxN)
    # A descent cannot bring back a term that it started without or lost on its way, and may end
    # above the optimum without the term.
    loss_N = law.form.value(law.constants_P, values)
    floors = tuple(term.coefficient for term in law.form.terms if not term.powers)
    about = with_starts_for(law.form, values, truth, loss_N, floors)
    lowest_MxP = refit(law.form, values, about, loss_MxN, ones_MxN)
    if _vanish(law.form, floors, np.vstack([law.constants_P, lowest_MxP]), values):
        truth, constants_MxP = about, lowest_MxP
    residual_MxN = np.log(loss_MxN / law.form.value(constants_MxP[:, None], values))
    drawn = _draws(law, values, truth, loss_MxN, residual_MxN, options)
    return [
        dataclasses.replace(
            template,
            params=dict(zip(names, constants_P.tolist(), strict=True)),
            draws_BxP=draws_BxP,
            noise_N=unseen_noise(residual_N, truth.leverage_N, _OBJECTIVE),
        )
        for constants_P, residual_N, draws_BxP in zip(
            constants_MxP, residual_MxN, drawn, strict=True
        )
    ]


def fit_table(
    table: "pd.DataFrame", approach: int, options: Options, law: PowerSum | None = None
) -> Fit:
    """Fit one study's table, by the options that change the approach."""
    return fit(table, approach=approach, law=law, **applicable(approach, options.given()))


def _at_truth(law: KnownLaw, values: Mapping[str, np.ndarray]) -> PointFit:
    """The true law as a fit to its own losses, which every study's fit starts from."""
    form, constants_P = law.form, law.constants_P
    centre = {name: float(np.log(values[name]).mean()) for name in form.variables}
    theta_P = form.theta(constants_P, centre)
    logs = {name: np.log(values[name]) - centre[name] for name in form.variables}
    slope_NxP = in_float64(_slopes)(form, theta_P, logs)
    return PointFit(
        theta_P=theta_P,
        centre=centre,
        constants_P=constants_P,
        free_P=np.ones(len(constants_P)),
        value=0.0,
        gradient_norm=0.0,
        condition=1.0,
        n_optima=1,
        residuals_N=np.zeros(len(values["params"])),
        leverage_N=leverages(slope_NxP, np.ones(len(slope_NxP))),
    )


def _vanish(
    form: PowerSum,
    coefficients: tuple[str, ...],
    constants_MxP: np.ndarray,
    values: Mapping[str, np.ndarray],
) -> bool:
    """Whether some of the laws are the same at every row without one of the coefficients."""
    value_MxN = form.value(constants_MxP[:, None], values)
    for name in coefficients:
        without_MxP = constants_MxP.copy()
        without_MxP[:, form.names.index(name)] = 0
        lost_MxN = 1 - form.value(without_MxP[:, None], values) / value_MxN
        if (np.abs(lost_MxN).max(axis=1) < LEAST_SHARE).any():
            return True
    return False


def _slopes(form: PowerSum, theta_P: np.ndarray, logs: Mapping[str, np.ndarray]) -> np.ndarray:
    import jax

    from scaling_jax.laws.solver.power_sum import model_of

    return np.asarray(jax.jacfwd(model_of(form).log_loss)(theta_P, form.design(logs)))


def _draws(
    law: KnownLaw,
    values: Mapping[str, np.ndarray],
    truth: PointFit,
    loss_MxN: np.ndarray,
    residual_MxN: np.ndarray,
    options: Options,
) -> Iterator[np.ndarray]:
    """Constants `BxP` of every study's resamples, some studies at a time to limit memory."""
    at_once = max(1, _MOST_AT_ONCE // options.bootstrap)
    for first in range(0, len(loss_MxN), at_once):
        studies = range(first, min(first + at_once, len(loss_MxN)))
        drawn = [
            resamples(
                options.resampled,
                loss_MxN[m],
                loss_MxN[m] * np.exp(-residual_MxN[m]),
                unseen_noise(residual_MxN[m], truth.leverage_N, _OBJECTIVE),
                options.bootstrap,
                options.seed + m,
            )
            for m in studies
        ]
        loss_BxN, weights_BxN = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        constants = refit(law.form, values, truth, loss_BxN, weights_BxN)
        yield from constants.reshape(len(studies), -1, constants.shape[-1])
