"""A run's end from its beginning and a ladder's: ends and beginnings as one Gaussian process."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scaling_jax.laws.curves.ladder_line import Forecast, n_places

# The bend of a ladder changes over this many e-folds of parameters or tokens.
_REACH = 2.0
# Standard deviations of the intercept and the two slopes of each line, which leave them free.
_FREE = 1.0
_N_LINE = 3
# The terms of a law A / N^alpha + B / D^beta near the middle of a ladder: their typical exponent,
# and the standard deviation of their shares of the loss there.
_EXPONENT = 0.5
_SHARE = 0.05
# The least variance of any value: a thousandth of a percent, far below all noise, which keeps the
# covariance positive definite in double precision.
_LEAST_VARIANCE = 1e-10
# A value this many standard deviations from what the others say is an outlier.
_OUTLYING = 2.0


class Constants(NamedTuple):
    """What the process is searched for, each on a scale on which its prior is Gaussian.

    Attributes:
        bend: log of the standard deviation of the smooth bend that ends and beginnings share.
        own: log of the standard deviation of the smooth bend that ends alone have.
        end: log of the noise of an end, a standard deviation of the log loss.
        beginning: log of the noise of a beginning.
        persistence: inverse hyperbolic tangent of the correlation of the two noises of one run.
        fall: how the noise falls along the ladder: as tokens to the power of minus this.
    """

    bend: float
    own: float
    end: float
    beginning: float
    persistence: float
    fall: float


# Wide, since six runs cannot show six constants: a factor of e to either side for amplitudes. Two
# seeds of a run of some hundred steps differ by about 1 % at the beginning and less at the end. The
# part of the noise that is an average over steps falls as tokens^-0.5, the rest does not.
_TYPICAL = Constants(np.log(0.03), np.log(0.01), np.log(0.007), np.log(0.01), 0.3, 0.25)
_SPREAD = Constants(1.0, 1.0, 1.0, 1.0, 0.5, 0.15)


@dataclass(frozen=True)
class LadderProcess:
    """Ends and beginnings of the runs of a ladder, one of which has not ended.

    Ends and beginnings each follow a line in the logs of parameters and tokens, and bend away from
    that line: as powers of parameters and of tokens do, and smoothly in some other way. Curves of
    one recipe nearly collapse, so beginnings bend as ends do, and the beginning of a run says how
    far the ladder has bent at the run's size and length. Ends have a smooth bend of their own
    beside that one. A run's deviations from both are its luck with the initial weights and the
    order of the data. The end's luck follows the beginning's as far as it does over the finished
    runs. The constants are the most probable ones.

    The axis V holds the beginnings of all runs, the last of them the run without an end, and then
    the ends of the finished runs. W has that run's end after these.

    Attributes:
        n_residuals: finished sizes and lengths beyond the constants of a line. Further seeds of
            these show no more of how a ladder bends.
        value_V: log losses.
        is_end_W: which values are ends.
        log_tokens_W: centred.
        law_WxW: what the free lines and the powers add to the covariance.
        bend_WxW: correlation of the smooth bend between the places of two values.
        same_WxW: whether two values are of the same run.
    """

    n_residuals: int
    value_V: np.ndarray
    is_end_W: np.ndarray
    log_tokens_W: np.ndarray
    law_WxW: np.ndarray
    bend_WxW: np.ndarray
    same_WxW: np.ndarray

    @classmethod
    def of(
        cls, place_Sx2: np.ndarray, beginning_S: np.ndarray, end_R: np.ndarray
    ) -> "LadderProcess":
        """The process of the logs of parameters and tokens, and of the log losses.

        The last of the runs S has no end; the others are the finished runs R.
        """
        n_runs = len(place_Sx2)
        run_W = np.tile(np.arange(n_runs), 2)
        place_Wx2 = (place_Sx2 - place_Sx2.mean(axis=0))[run_W]
        is_end_W = np.arange(2 * n_runs) >= n_runs
        line_Wx3 = _FREE * np.insert(place_Wx2, 0, 1.0, axis=1)
        lines_WxW = line_Wx3 @ line_Wx3.T * (is_end_W[:, None] == is_end_W)
        power_Wx2 = _SHARE * np.exp(-_EXPONENT * place_Wx2)
        distance_WxWx2 = (place_Wx2[:, None] - place_Wx2) / _REACH
        return cls(
            n_residuals=n_places(place_Sx2[:-1]) - _N_LINE,
            value_V=np.concatenate([beginning_S, end_R]),
            is_end_W=is_end_W,
            log_tokens_W=place_Wx2[:, 1],
            law_WxW=lines_WxW + power_Wx2 @ power_Wx2.T,
            bend_WxW=np.exp(-0.5 * np.sum(distance_WxWx2**2, axis=2)),
            same_WxW=run_W[:, None] == run_W,
        )

    def forecast(self) -> Forecast:
        """The log loss at the end of the run that has not ended."""
        centre = self.value_V.mean()
        value_V = self.value_V - centre
        inflation_W = np.ones(len(value_V) + 1)
        constants = self._most_probable(value_V, _TYPICAL, inflation_W)
        inflation_W[:-1] = self._outlyingness(value_V, constants)
        # The run itself is not judged here: RunEnd.has_left says whether it left its ladder.
        inflation_W[len(value_V) // 2] = 1.0
        constants = self._most_probable(value_V, constants, inflation_W)
        covariance_WxW = self.covariance(constants, inflation_W)[0]
        to_end_V = covariance_WxW[-1, :-1]
        weight_V = np.linalg.solve(covariance_WxW[:-1, :-1], to_end_V)
        variance = covariance_WxW[-1, -1] - weight_V @ to_end_V
        mean = float(centre + weight_V @ value_V)
        return Forecast(mean, float(np.sqrt(variance)), self.n_residuals)

    def covariance(
        self, constants: Constants, inflation_W: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The covariance of all values, and its derivative by each constant.

        Args:
            constants: of the process.
            inflation_W: what multiplies the variance of the noise of each value.
        """
        bend, own, end, beginning = np.exp(constants[:4])
        correlation = np.tanh(constants.persistence)
        scale_W = np.sqrt(inflation_W) * np.exp(-constants.fall * self.log_tokens_W)
        scale_WxW = self.same_WxW * np.outer(scale_W, scale_W)
        ends_WxW = np.outer(self.is_end_W, self.is_end_W)
        beginnings_WxW = np.outer(~self.is_end_W, ~self.is_end_W)
        shared_WxW = bend**2 * self.bend_WxW
        own_WxW = own**2 * self.bend_WxW * ends_WxW
        end_WxW = end**2 * scale_WxW * ends_WxW
        beginning_WxW = beginning**2 * scale_WxW * beginnings_WxW
        both_WxW = end * beginning * scale_WxW * ~(ends_WxW | beginnings_WxW)
        noise_WxW = end_WxW + beginning_WxW + correlation * both_WxW
        length_WxW = self.log_tokens_W[:, None] + self.log_tokens_W
        changes = [
            2 * shared_WxW,
            2 * own_WxW,
            2 * end_WxW + correlation * both_WxW,
            2 * beginning_WxW + correlation * both_WxW,
            (1 - correlation**2) * both_WxW,
            -length_WxW * noise_WxW,
        ]
        least_WxW = _LEAST_VARIANCE * np.eye(len(self.law_WxW))
        return self.law_WxW + shared_WxW + own_WxW + noise_WxW + least_WxW, changes

    def _most_probable(
        self, value_V: np.ndarray, start: Constants, inflation_W: np.ndarray
    ) -> Constants:
        from scipy.optimize import minimize

        typical, spread = np.array(_TYPICAL), np.array(_SPREAD)

        def cost(constants: np.ndarray) -> tuple[float, np.ndarray]:
            covariance_WxW, changes = self.covariance(Constants(*constants), inflation_W)
            factor_VxV = np.linalg.cholesky(covariance_WxW[:-1, :-1])
            inverse_VxV = np.linalg.inv(factor_VxV)
            inverse_VxV = inverse_VxV.T @ inverse_VxV
            solved_V = inverse_VxV @ value_V
            pull_VxV = inverse_VxV - np.outer(solved_V, solved_V)
            slope = [0.5 * np.sum(pull_VxV * change[:-1, :-1]) for change in changes]
            away = (constants - typical) / spread
            surprise = 0.5 * (value_V @ solved_V) + np.sum(np.log(np.diag(factor_VxV)))
            return surprise + 0.5 * (away @ away), np.array(slope) + away / spread

        bounds = list(zip(typical - 4 * spread, typical + 4 * spread, strict=True))
        found = minimize(cost, np.array(start), jac=True, method="L-BFGS-B", bounds=bounds)
        return Constants(*found.x)

    def _outlyingness(self, value_V: np.ndarray, constants: Constants) -> np.ndarray:
        """What multiplies the noise of each value, so that outliers count less; 1 for others.

        A value is compared with what all others say of that value.
        """
        covariance_WxW, _ = self.covariance(constants, np.ones(len(value_V) + 1))
        inverse_VxV = np.linalg.inv(covariance_WxW[:-1, :-1])
        # Rasmussen and Williams 2006, equations 5.10 to 5.12.
        deviations_V = inverse_VxV @ value_V / np.sqrt(np.diag(inverse_VxV))
        inflation_V: np.ndarray = np.maximum(1.0, (deviations_V / _OUTLYING) ** 2)
        return inflation_V
