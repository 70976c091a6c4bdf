"""Numbers of one run predicted from those of finished runs: a line in the logs of a ladder."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError

# The intercept and the slopes in size and length, and three runs that show the noise.
LEAST_FINISHED = 6
# Seeds of one size and length show the noise, but not how well a line holds beyond these.
LEAST_PLACES = 4
# Lengths are rounded to whole steps, so one length varies by less than this in its log.
_SAME_PLACE = 0.02
# Runs of one size, of one length or of one budget spread less than this in logs.
_LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class Forecast:
    """A number of one run, predicted from those of finished runs.

    Attributes:
        mean: the prediction.
        deviation: standard deviation of the run about it.
        n_residuals: degrees of freedom that show that deviation.
    """

    mean: float
    deviation: float
    n_residuals: int

    def half_width(self, level: float) -> float:
        """Half the width of Student's interval."""
        from scipy import stats

        return float(self.deviation * stats.t.ppf((1 + level) / 2, self.n_residuals))


def n_places(place_Rx2: np.ndarray) -> int:
    """How many sizes and lengths runs at these logs of parameters and tokens have."""
    distance_RxR = np.abs(place_Rx2[:, None] - place_Rx2).max(axis=2)
    # The first run at each place is the first that is near itself.
    return int(np.sum(np.argmax(distance_RxR < _SAME_PLACE, axis=1) == np.arange(len(place_Rx2))))


@dataclass(frozen=True)
class LadderLine:
    """What predictions regress on: ones, and the logs of parameters and tokens, of finished runs.

    Attributes:
        design_RxP: the numbers of every finished run, the logs centred.
        at_P: those of the run whose numbers are predicted.
        inverse_PxR: from the numbers of the finished runs to the line through them. Where the runs
            do not spread, the line has no slope.
    """

    design_RxP: np.ndarray
    at_P: np.ndarray
    inverse_PxR: np.ndarray

    @classmethod
    def of(cls, place_Rx2: np.ndarray, at_2: np.ndarray, wanted: str) -> "LadderLine":
        """The line of the finished runs at logs of parameters and tokens, for a run at `at_2`.

        Raises:
            InputError: fewer than 6 runs or 4 sizes and lengths, or the run lies away from them in
                a direction in which they do not differ, such as beyond runs of one size.
        """
        if len(place_Rx2) < LEAST_FINISHED:
            raise InputError(
                f"{len(place_Rx2)} finished runs share the recipe of run {wanted}, and its end is "
                f"predicted from {LEAST_FINISHED} or more: wait for smaller runs"
            )
        if (n := n_places(place_Rx2)) < LEAST_PLACES:
            raise InputError(
                f"the {len(place_Rx2)} finished runs that share the recipe of run {wanted} have "
                f"{n} sizes and lengths, and its end is predicted from {LEAST_PLACES} or more: "
                "wait for runs of other sizes or lengths"
            )
        centre_2 = place_Rx2.mean(axis=0)
        _, spread_2, direction_2x2 = np.linalg.svd(place_Rx2 - centre_2, full_matrices=False)
        away_2 = np.abs(direction_2x2 @ (at_2 - centre_2))
        if np.any((spread_2 < _LEAST_SPREAD) & (away_2 > _LEAST_SPREAD)):
            raise InputError(
                "the finished runs have one size, one length, one budget or one ratio of tokens to "
                "parameters, so what size and length change cannot be told apart for run "
                f"{wanted}: finish runs of other sizes and lengths"
            )
        design_RxP = np.insert(place_Rx2 - centre_2, 0, 1.0, axis=1)
        cut = _LEAST_SPREAD / np.linalg.norm(design_RxP, ord=2)
        return cls(
            design_RxP, np.insert(at_2 - centre_2, 0, 1.0), np.linalg.pinv(design_RxP, rcond=cut)
        )

    def predict(self, value_R: np.ndarray) -> Forecast:
        """Predict a number of the run from that of every finished run."""
        line_P = self.inverse_PxR @ value_R
        n_residuals = len(value_R) - len(line_P)
        variance = np.sum((value_R - self.design_RxP @ line_P) ** 2) / n_residuals
        leverage = np.sum((self.at_P @ self.inverse_PxR) ** 2)
        deviation = np.sqrt(variance * (1 + leverage))
        return Forecast(float(self.at_P @ line_P), float(deviation), n_residuals)
