"""What an average of fits averages, and how far its members lie apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Member:
    """One combination of form, rows and weights that a prediction averages.

    Attributes:
        form: its name.
        within: rows kept lie at most this share of the loss above the frontier; None for all.
        compute_power: a row's weight is (C / C_max) to this power.
        score: typical error of its predictions of runs beyond rolled cut-offs, in shares of the
            loss per unit of `growth`; NaN where the table leaves no cut-off.
        weight: its share in the average; all weights sum to one.
        constants: of the law, fitted to all rows.
        n_draws: how many of the fit's draws are resampled fits of this combination.
    """

    form: str
    within: float | None
    compute_power: float
    score: float
    weight: float
    constants: tuple[float, ...]
    n_draws: int = 0

    @property
    def name(self) -> str:
        """The combination in words."""
        rows = "all rows" if self.within is None else f"rows within {100 * self.within:g} %"
        weights = f"weights C^{self.compute_power:g}" if self.compute_power else "equal weights"
        return f"{self.form}, {rows}, {weights}"


def constants_of(members: Sequence[Member]) -> np.ndarray:
    """Constants `JxP` of every member."""
    return np.array([member.constants for member in members])


def scatter_between(members: Sequence[Member], log_J: np.ndarray) -> float:
    """Standard deviation of what the members say, in logs and by their weights."""
    weight_J = np.array([member.weight for member in members])
    known_J = np.isfinite(log_J) & (weight_J > 0)
    weight_J, log_J = weight_J[known_J] / weight_J[known_J].sum(), log_J[known_J]
    return float(np.sqrt(weight_J @ (log_J - weight_J @ log_J) ** 2))


def about(
    members: Sequence[Member], draws_B: np.ndarray, own_J: np.ndarray, value: float
) -> np.ndarray:
    """Draws of the members, moved from what each member says to what the average says.

    Draws of several members about their own values scatter by their forms besides the noise.

    Args:
        members: of the average.
        draws_B: resampled fits of the first member, then of the next; other draws stay.
        own_J: what the members say.
        value: what the average says.
    """
    own_B = np.repeat(own_J, [member.n_draws for member in members])
    if len(own_B) != len(draws_B):
        return draws_B
    with np.errstate(all="ignore"):
        moved_B = draws_B * (value / own_B)
    return np.where(np.isfinite(moved_B), moved_B, draws_B)
