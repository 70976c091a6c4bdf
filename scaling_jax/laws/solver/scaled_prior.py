"""Priors of a law's constants in the unit of an objective."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.objectives import Objective

# Noise that is taken for granted, and the first guess of it: no table of losses is less noisy.
_LEAST_NOISE, FIRST_NOISE = 1e-3, 3e-3
NORMAL = 1.4826  # standard deviation of a normal over its median absolute value


@dataclass(frozen=True)
class ScaledPrior:
    """Normal priors of `theta` beside an objective.

    Attributes:
        mean_P: means.
        spread_P: standard deviations; infinite where nothing is known.
        per_nat: what the objective rises by where the log likelihood falls by one.
    """

    mean_P: np.ndarray
    spread_P: np.ndarray
    per_nat: float

    @property
    def precision_P(self) -> np.ndarray:
        """The prior's curvature in the objective's unit."""
        precision_P: np.ndarray = self.per_nat / self.spread_P**2
        return precision_P

    def drawn(self, n: int) -> np.ndarray:
        """Means `nxP` drawn from the prior, for refits that spread as the prior where rows do not.

        Optima under randomized priors and rows are draws of the posterior, exactly so for a
        linear law (Bardsley et al. 2014, SIAM J. Sci. Comput. 36, A1895).
        """
        normal_BxP = np.random.default_rng(0).standard_normal((n, len(self.mean_P)))
        known_P = np.where(np.isfinite(self.spread_P), self.spread_P, 0.0)
        drawn_BxP: np.ndarray = self.mean_P + known_P * normal_BxP
        return drawn_BxP


def noise_of(residuals_N: np.ndarray) -> float:
    """Robust standard deviation of the residuals of a table of losses."""
    return max(_LEAST_NOISE, float(np.median(np.abs(residuals_N))) * NORMAL)


def per_nat(noise: float, objective: Objective) -> float:
    """What an objective rises by where the log likelihood of such noise falls by one.

    The log likelihood of normal noise of standard deviation s falls by r^2 / (2 s^2) where squares
    rise by r^2 / 2; that of Laplace noise falls by |r| / s where absolute values beyond `delta`
    rise by delta |r|.
    """
    return min(noise, objective.delta) * noise
