"""What a study is asked, and how far the noise of its runs may move the answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from scaling_jax.laws.allocation import form_exponents, form_frontier
from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.catalogue.linearized import centre_of, gradient, slopes
from scaling_jax.laws.objectives import HUBER_DELTA
from scaling_jax.laws.planning.known import KnownLaw

ANSWERS = ("a", "b", "params", "tokens", "loss")

# Keeps directions that the rows do not determine finite; far below the information of any row.
PRIOR = 1e-10
# Information of rows on a term that contributes nothing to their losses.
VANISHED = 1e-20


@dataclass(frozen=True)
class Target:
    """The run that a study is asked about.

    Attributes:
        flops: budget of the optimum that is asked for.
        params, tokens: the run whose loss is asked for.
    """

    flops: float
    params: float
    tokens: float

    @classmethod
    def optimum(cls, law: KnownLaw, flops: float) -> "Target":
        """A law's optimum of a budget.

        Raises:
            InputError: a law without a frontier.
        """
        params, tokens, _ = law.optimal(flops)
        return cls(flops, params, tokens)

    def answers(self, form: PowerSum, constants_P: np.ndarray) -> np.ndarray:
        """What a law answers, in the order of `ANSWERS` along the last axis.

        Exponents a of N_opt and b of D_opt; logarithms of N_opt and D_opt; logarithm of the loss
        of the target's own params and tokens. Works on the last axis of the constants.
        """
        with np.errstate(all="ignore"):
            optimum = form_frontier(form, constants_P, self.flops)
            exponents = form_exponents(form, constants_P)
            at = {"params": self.params, "tokens": self.tokens}
            loss = form.value(constants_P, at)
            logs = (np.log(x) for x in (optimum.params, optimum.tokens, loss))
            return np.stack([exponents["a"], exponents["b"], *logs], axis=-1)


def standard_errors(
    law: KnownLaw, values: Mapping[str, np.ndarray], noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance `PxP` of the fitted constants' `theta`, with the free columns' indices `F`.

    By the delta method: s^2 (J'J)^-1, J being the slopes of log losses at the law and s the noise
    times `inflation`. The rows and columns are those of the constants that the form does not hold.
    """
    form = law.form
    free_F = np.array([i for i, name in enumerate(form.names) if name not in form.held])
    slopes_NxF = slopes(form, law.constants_P, centre_of(form, values), values)[:, free_F]
    length_F = np.linalg.norm(slopes_NxF, axis=0)
    # A term that has vanished changes no loss, and no answer either.
    length_F = np.where(length_F > VANISHED, length_F, 1.0)
    scaled_NxF = slopes_NxF / length_F
    information_FxF = scaled_NxF.T @ scaled_NxF + PRIOR * np.eye(len(free_F))
    scale_F = noise * inflation(noise) / length_F
    return np.linalg.inv(information_FxF) * np.outer(scale_F, scale_F), free_F


def noise_errors(
    law: KnownLaw, values: Mapping[str, np.ndarray], target: Target, noise: float
) -> np.ndarray:
    """Standard errors of `Target.answers` of a fit, by the noise of its runs.

    Args:
        law: the truth.
        values: params and tokens of every run.
        target: what is asked.
        noise: standard deviation of a run's log loss.
    """
    covariance_FxF, free_F = standard_errors(law, values, noise)
    slope_PxA = gradient(
        lambda constants_P: target.answers(law.form, constants_P),
        law.form,
        law.constants_P,
        centre_of(law.form, values),
    )
    toward_FxA = slope_PxA[free_F]
    variance_A = np.einsum("fa,fg,ga->a", toward_FxA, covariance_FxF, toward_FxA)
    errors_A: np.ndarray = np.sqrt(np.maximum(variance_A, 0))
    return errors_A


def two_sided(level: float) -> float:
    """Half-width, in standard errors, of a normal interval at a level."""
    return NormalDist().inv_cdf((1 + level) / 2)


def hidden_misfit(noise: float, level: float, n_runs: int) -> float:
    """Root mean square of log losses that the noise of runs hides at a level.

    Its chi-square, the sum of squares over the fit's variance, is that of one constant more.
    """
    return two_sided(level) * noise * inflation(noise) / math.sqrt(n_runs)


def inflation(noise: float) -> float:
    """Standard errors of fits by Huber's penalty over those of least squares, Gaussian noise.

    The square root of E[psi^2] / E[psi']^2 (Huber 1964, Ann. Math. Stat. 35, 73), psi being the
    penalty's slope, linear up to `HUBER_DELTA`.

    >>> round(inflation(0.003), 2)
    1.16
    """
    if not noise:
        return 1.0
    bend, normal = HUBER_DELTA / noise, NormalDist()
    within = 2 * normal.cdf(bend) - 1
    squares = within - 2 * bend * normal.pdf(bend) + bend**2 * (1 - within)
    return math.sqrt(squares) / within
