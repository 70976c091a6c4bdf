"""Candidates fitted below every cut-off, and the errors of their predictions above it."""

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.extrapolation.candidates import Candidate, Form
from scaling_jax.laws.extrapolation.cutoffs import at_or_below, cutoffs, error_beyond, sizes_of
from scaling_jax.laws.extrapolation.row_weights import (
    FRONTIER_POWER,
    above_frontier,
    compute_weights,
    window,
)
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.scaled_prior import FIRST_NOISE, noise_of
from scaling_jax.laws.tables.select import Rows

if TYPE_CHECKING:
    from scaling_jax.laws.solver.many import Weighted


@dataclass(frozen=True)
class Rolled:
    """Fits of every candidate below every cut-off.

    Attributes:
        cutoffs: the largest compute, then those below it.
        least: the lowest loss.
        noise_K: robust standard deviation of log losses about the frontier's law, per cut-off.
        above_KxN: how far rows lie above the frontier of the law fitted below each cut-off.
        theta_JxKxP: where the fits are, in the solver's coordinates.
        constants_JxKxP: of the law `skaling`.
        weights_JxKxN: of the rows.
        errors_JxKxN: log of measured over predicted loss, of every row.
    """

    cutoffs: tuple[float, ...]
    least: float
    noise_K: np.ndarray
    above_KxN: np.ndarray
    theta_JxKxP: np.ndarray
    constants_JxKxP: np.ndarray
    weights_JxKxN: np.ndarray
    errors_JxKxN: np.ndarray

    def score(self, rows: Rows, errors_KxN: np.ndarray) -> np.ndarray:
        """Median absolute error beyond each cut-off but the first, per unit of `growth`."""
        size_N, below = sizes_of(rows), zip(self.cutoffs[1:], errors_KxN[1:], strict=True)
        found = [error_beyond(e_N, size_N, end, self.above_KxN[0]) for end, e_N in below]
        return np.array(found)


def weighted(form: Form, rows: Rows, objective: Objective) -> "Weighted":
    """The form on the rows, ready to be fitted under many weightings."""
    from scaling_jax.laws.solver.many import Weighted

    return Weighted(SKALING, rows.variables, rows.loss, objective, form.priors, form.held)


def roll(rows: Rows, chosen: tuple[Candidate, ...], objective: Objective) -> Rolled:
    """Fit every candidate to the rows at or below every cut-off.

    Args:
        rows: with params, tokens and FLOPs.
        chosen: candidates; those of one form follow one another.
        objective: what the fits minimize.
    """
    from scaling_jax.laws.solver.many import Weighted

    size_N, ends = sizes_of(rows), cutoffs(rows)
    seen_KxN = np.array([at_or_below(size_N, end) for end in ends])
    least = float(rows.loss.min())
    frontier = Weighted(SKALING, rows.variables, rows.loss, objective, SKALING.priors, {})
    power_KxN = np.array([compute_weights(size_N, end, FRONTIER_POWER) for end in ends])
    base_KxN = seen_KxN * rows.weight * power_KxN
    noise_K = np.full(len(ends), FIRST_NOISE)
    for _ in range(2):
        theta_KxP = frontier.fits(base_KxN, least, noise_K)
        constants_KxP = frontier.constants(theta_KxP)
        noise_K = _noise(rows, constants_KxP, base_KxN)
    above_KxN = np.array([above_frontier(SKALING, c_P, rows) for c_P in constants_KxP])
    found: list[list[np.ndarray]] = [[], [], []]
    for form, group in groupby(chosen, key=lambda candidate: candidate.form):
        weights_BxN = np.concatenate(
            [_weights(candidate, rows, ends, seen_KxN, above_KxN) for candidate in group]
        )
        problem = weighted(form, rows, objective)
        noise_B = np.resize(noise_K, len(weights_BxN))
        theta_BxP = problem.fits(weights_BxN, least, noise_B)
        for part, array in zip(
            found, (theta_BxP, problem.constants(theta_BxP), weights_BxN), strict=True
        ):
            part.append(array.reshape(-1, len(ends), array.shape[-1]))
    theta_JxKxP, constants_JxKxP, weights_JxKxN = map(np.concatenate, found)
    predicted_JxKxN = SKALING.value(constants_JxKxP[..., None, :], rows.variables)
    return Rolled(
        cutoffs=ends,
        least=least,
        noise_K=noise_K,
        above_KxN=above_KxN,
        theta_JxKxP=theta_JxKxP,
        constants_JxKxP=constants_JxKxP,
        weights_JxKxN=weights_JxKxN,
        errors_JxKxN=np.log(rows.loss) - np.log(predicted_JxKxN),
    )


def _weights(
    candidate: Candidate,
    rows: Rows,
    ends: tuple[float, ...],
    seen_KxN: np.ndarray,
    above_KxN: np.ndarray,
) -> np.ndarray:
    size_N = sizes_of(rows)
    return np.array(
        [
            rows.weight
            * compute_weights(size_N, end, candidate.compute_power)
            * window(above_N, seen_N, candidate.within)
            for end, seen_N, above_N in zip(ends, seen_KxN, above_KxN, strict=True)
        ]
    )


def _noise(rows: Rows, constants_KxP: np.ndarray, weights_KxN: np.ndarray) -> np.ndarray:
    predicted_KxN = SKALING.value(constants_KxP[:, None, :], rows.variables)
    errors_KxN = np.log(rows.loss / predicted_KxN)
    return np.array(
        [noise_of(e_N[w_N > 0]) for e_N, w_N in zip(errors_KxN, weights_KxN, strict=True)]
    )
