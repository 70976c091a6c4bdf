"""A fitted pair of power laws: approaches 1 and 2 of Hoffmann et al. 2022."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import (
    Frontier,
    Prediction,
)
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Minimum


@dataclass(frozen=True)
class FrontierFit(Fit):
    """A pair of power laws, `N_opt = N_ref (C / C_ref)^a` and D_opt alike (approaches 1 and 2).

    `params` has N_ref and D_ref at `reference_flops`, a and b, and, with minima enough, E, K_ref
    and gamma of `L_opt = E + K_ref (C / C_ref)^-gamma`.

    Attributes:
        minima: the IsoFLOP minima that approach 2 fitted.
        frontier_points, sizes: the points of the envelope that approach 1 fitted, and its sizes.
    """

    _: KW_ONLY
    minima: tuple[Minimum, ...] = ()
    frontier_points: FrontierPoints | None = None
    sizes: tuple[EnvelopeSize, ...] = ()

    @property
    def law(self) -> str:
        """`power-laws`."""
        return "power-laws"

    @property
    def method(self) -> str:
        """How the frontier was found, in words."""
        if "curve" not in self.objective:
            return "envelope of training curves"
        done = ", corrected" if self.objective["corrected"] else ""
        return f"IsoFLOP minima by {self.objective['curve']}{done}"

    @property
    def rising(self) -> str:
        """What the fitted loss rises with, as a clause; empty where it falls as it should."""
        gamma = self.params.get("gamma", 1.0)
        if gamma <= 0:
            return f"The fitted loss rises with compute (gamma {gamma:.3g})"
        ordered = sorted(self.minima, key=lambda minimum: minimum.budget)
        if ordered and ordered[-1].loss > ordered[0].loss:
            return (
                f"The lowest loss rises with compute ({ordered[0].loss:.4g} at the least budget, "
                f"{ordered[-1].loss:.4g} at the largest)"
            )
        return ""

    def predict(self, **variables: float) -> Prediction:
        """Refused: the optimum was fitted, not the loss.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"approach {self.approach} fits the optimum, not the loss: "
            "fit with approach 3 to predict losses"
        )

    def _frontier(self, constants_P: np.ndarray, flops: float) -> Frontier:
        return allocation.power_law_frontier(constants_P, self.reference_flops, flops)

    def _exponents(self, constants_P: np.ndarray) -> dict[str, np.ndarray]:
        names = list(self.params)
        return {name: constants_P[..., names.index(name)] for name in ("a", "b")}
