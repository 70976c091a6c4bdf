"""Fits of many simulated studies at once: studies and resamples are lanes of one program."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.api import fit
from scaling_jax.laws.fit import Fit
from scaling_jax.laws.known import KnownLaw
from scaling_jax.laws.options import Options
from scaling_jax.laws.point import PointFit, refit_resamples
from scaling_jax.laws.resample import Resampling, resamples, scaled_noise
from scaling_jax.laws.table import usable_rows

if TYPE_CHECKING:
    import pandas as pd

_LANES = 8192

# Losses and weights `BxN` of a study's resamples, from its losses, their log residuals and a seed.
Resample = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def fit_laws(
    first: "pd.DataFrame",
    losses_MxSxN: np.ndarray,
    law: KnownLaw,
    options: Options,
    resample: Resample | None,
) -> list[Fit]:
    """Fit the law's form to the losses `MxSxN` of all studies, starting each at the truth.

    The first study's table is also fitted as a real one, from many starts; what is common to all
    fits is taken from that.

    Raises:
        InputError: rows that cannot determine the law.
    """
    unresampled = dataclasses.replace(options, bootstrap=0)
    template = fit_table(first, 3, unresampled, law.form.name)
    values, names = usable_rows(first, law.count).variables, law.form.names
    truth = _at_truth(law, values)
    loss_MxN = losses_MxSxN.reshape(len(losses_MxSxN), -1)
    constants_MxP = refit_resamples(law.form, values, truth, loss_MxN, np.ones_like(loss_MxN))
    residual_MxN = np.log(loss_MxN / law.form.loss(constants_MxP[:, None], values))
    draw = resample or partial(_resample, options.resampling, len(names), options.bootstrap)
    drawn = _draws(law, values, truth, loss_MxN, residual_MxN, options, draw)
    return [
        dataclasses.replace(
            template,
            params=dict(zip(names, constants_P.tolist(), strict=True)),
            draws_BxP=draws_BxP,
            noise_N=scaled_noise(residual_N, len(names)),
        )
        for constants_P, residual_N, draws_BxP in zip(
            constants_MxP, residual_MxN, drawn, strict=True
        )
    ]


def fit_table(
    table: "pd.DataFrame", approach: int, options: Options, law: str = "chinchilla"
) -> Fit:
    """Fit one table by the options."""
    return fit(
        table,
        approach=approach,
        law=law,
        bootstrap=options.bootstrap,
        level=options.level,
        count=options.count,
        seed=options.seed,
        resampling=options.resampling,
    )


def _at_truth(law: KnownLaw, values: Mapping[str, np.ndarray]) -> PointFit:
    """The true law as the start of fits: the optimum of its own losses."""
    form, constants_P, n_terms = law.form, law.constants_P, len(law.form.terms)
    centre = {name: float(np.log(values[name]).mean()) for name in form.variables}
    shift_KxP = form.design({name: np.array([mean]) for name, mean in centre.items()})[0]
    logs_K = np.log(constants_P[:n_terms]) + shift_KxP[:, n_terms:] @ constants_P[n_terms:]
    return PointFit(
        theta_P=np.concatenate([logs_K, constants_P[n_terms:]]),
        centre=centre,
        constants_P=constants_P,
        free_P=np.ones(len(constants_P)),
        value=0.0,
        gradient_norm=0.0,
        condition=1.0,
        n_optima=1,
        residuals_N=np.zeros(len(values["params"])),
    )


def _resample(
    kind: Resampling,
    n_constants: int,
    n_resamples: int,
    loss_N: np.ndarray,
    residual_N: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Resamples as `laws.fit` draws them."""
    noise_N = scaled_noise(residual_N, n_constants)
    return resamples(kind, loss_N, loss_N * np.exp(-residual_N), noise_N, n_resamples, seed)


def _draws(
    law: KnownLaw,
    values: Mapping[str, np.ndarray],
    truth: PointFit,
    loss_MxN: np.ndarray,
    residual_MxN: np.ndarray,
    options: Options,
    draw: Resample,
) -> Iterator[np.ndarray]:
    """Constants `BxP` of every study's resamples, some studies at a time to bound memory."""
    at_once = max(1, _LANES // options.bootstrap)
    for first in range(0, len(loss_MxN), at_once):
        studies = range(first, min(first + at_once, len(loss_MxN)))
        drawn = [draw(loss_MxN[m], residual_MxN[m], options.seed + m) for m in studies]
        loss_BxN, weights_BxN = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        constants = refit_resamples(law.form, values, truth, loss_BxN, weights_BxN)
        yield from constants.reshape(len(studies), -1, constants.shape[-1])
