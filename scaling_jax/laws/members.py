"""What an average of fits averages, and how far its members lie apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.uncertainty.widening import scatter_of

# The average of members that hold so much of the weight stands for that of all, and so many of its
# draws tell how far it scatters.
_LEAST_SHARED, _ENOUGH = 0.5, 15


@dataclass(frozen=True)
class Member:
    """One form that a prediction averages; in fits of earlier releases, with rows and weights.

    Attributes:
        form: its name.
        within: rows kept lie at most this share of the loss above the frontier; None for all.
        compute_power: a row's weight is (C / C_max) to this power.
        score: typical error of its predictions of runs beyond rolled cut-offs, in shares of the
            loss per unit of `growth`; NaN where the table leaves no cut-off.
        weight: its share in the average; all weights sum to one.
        constants: of the law, fitted to all rows.
        n_draws: how many of the fit's draws are resampled fits of this combination.
        is_shared: whether the b-th of those draws is a fit to the same resample as the b-th draw of
            every other member; not so in fits stored before there was any.
    """

    form: str
    within: float | None
    compute_power: float
    score: float
    weight: float
    constants: tuple[float, ...]
    n_draws: int = 0
    is_shared: bool = False


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
    """Draws of the members as draws of their average: about its value, with its scatter.

    Draws of several members about their own values scatter by their forms besides the noise. The
    noise of one member is in part not that of another, so that the average scatters less than its
    members do: by how much, resamples tell to which several members are fitted.

    Args:
        members: of the average.
        draws_B: resampled fits of the first member, then of the next; other draws stay.
        own_J: what the members say.
        value: what the average says.
    """
    counts = [member.n_draws for member in members]
    own_B = np.repeat(own_J, counts)
    if len(own_B) != len(draws_B):
        return draws_B
    with np.errstate(all="ignore"):
        times_B = draws_B / own_B
        moved_B = value * times_B ** _shrinkage(members, times_B)
    return np.where(np.isfinite(moved_B), moved_B, draws_B)


def _shrinkage(members: Sequence[Member], times_B: np.ndarray) -> float:
    """Scatter of the average over that of single members' draws; 1 where few resamples are shared.

    Args:
        members: of the average.
        times_B: draws over what their member says.
    """
    if not all(member.is_shared for member in members):
        return 1.0
    counts = [member.n_draws for member in members]
    off_JxB = np.full((len(members), max(counts)), np.nan)
    with np.errstate(all="ignore"):
        off_JxB[np.arange(max(counts)) < np.array(counts)[:, None]] = np.log(times_B)
    is_known_JxB = np.isfinite(off_JxB)
    weight_JxB = np.array([member.weight for member in members])[:, None] * is_known_JxB
    weight_B = weight_JxB.sum(axis=0)
    # Members have draws in proportion to their weights: the last ones are of the heaviest alone.
    is_shared_B = weight_B >= _LEAST_SHARED
    if is_shared_B.sum() < _ENOUGH:
        return 1.0
    average_B = (weight_JxB * np.nan_to_num(off_JxB)).sum(axis=0)[is_shared_B]
    average = scatter_of(np.exp(average_B / weight_B[is_shared_B]))
    single = scatter_of(times_B)
    return min(1.0, average / single) if single else 1.0
