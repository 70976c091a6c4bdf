"""A run's end from its beginning: the loss still to be won, as finished runs of a ladder won it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.curves.schedule_shapes import other_shapes, same_schedule
from scaling_jax.laws.curves.smoothed import log_loss_at

if TYPE_CHECKING:
    import pandas as pd

# Before this share of a run the warm-up, the size and the length move the curve too much.
EARLIEST = 0.1
# The intercept and the slopes in size and length, and three runs that show the noise.
LEAST_FINISHED = 6
# Runs of one size, or of one ratio of tokens to parameters, spread less than this in logs.
_LEAST_SPREAD = 0.1

# A run leaves the band of its ladder where its own forecasts at two moments differ by what one
# healthy run in a thousand does.
_ALARM_LEVEL = 0.999
# The moments that are compared with now, as shares of the progress.
_BEFORE = (0.5, 0.7)


@dataclass(frozen=True)
class RunEnd:
    """The loss at which a run will end, judged by its curve so far.

    Attributes:
        run_id: of the run.
        progress: the share of the run's tokens that its curve has.
        loss: the expected held-out loss at the end, in the unit of the records.
        interval: where the loss will lie, at `level`.
        level: of the interval.
        n_finished: the finished runs of the same schedule that were compared.
        drift: how far the forecast has moved since earlier in the run, as a share of the loss.
        expected_drift: the standard deviation of that move over healthy runs.
        has_left: whether the move is larger than in 999 of 1,000 healthy runs.
    """

    run_id: str
    progress: float
    loss: float
    interval: Interval
    level: float
    n_finished: int
    drift: float
    expected_drift: float
    has_left: bool


def run_ends(
    curves: "pd.DataFrame", records: "pd.DataFrame", *, level: float = 0.9
) -> tuple[RunEnd, ...]:
    """Predict the final loss of every unfinished run that is far enough along.

    The log of the loss that a run has still to lose, from a given share of its tokens on, is close
    to linear in the logs of its parameters and tokens over the finished runs of one recipe. Where
    curves collapse (Qiu et al. 2025, 2507.02119) the line is flat; here it may slope along the
    ladder. The interval is Student's prediction interval of that regression.

    Args:
        curves: rows with `run_id`, `tokens` and `loss` along runs, as `study.curves` gives them
            with `unfinished=True`. Training losses serve, and held-out ones.
        records: rows with `run_id`, `status`, `params`, `tokens` (of the whole run) and `loss`, as
            `study.collect` gives them; columns of the schedule keep different shapes apart.
        level: of the intervals.

    Returns:
        One `RunEnd` for each run without a result whose curve has reached a tenth of it, in the
        order of the records.

    Raises:
        InputError: missing columns; or no such run can be compared, because fewer than 6 finished
            runs have its schedule, or these do not differ in both size and length.
    """
    _require_columns(curves, ("run_id", "tokens", "loss"), "curves")
    _require_columns(records, ("run_id", "status", "params", "tokens", "loss"), "records")
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1")
    read = {str(name): _Curve.of(rows) for name, rows in curves.groupby("run_id")}
    found, refused = [], []
    for run, curve, finished, others in _under_way(read, records):
        try:
            found.append(_end(run, curve, finished, read, level))
        except InputError as error:
            refused.append(InputError(f"{error}{other_shapes(run, others)}"))
    if refused and not found:
        raise refused[0]
    return tuple(found)


@dataclass(frozen=True)
class _Curve:
    """The tokens and losses along a run, without the points that were not finite."""

    tokens_T: np.ndarray
    loss_T: np.ndarray

    @classmethod
    def of(cls, rows: "pd.DataFrame") -> "_Curve":
        rows = rows.sort_values("tokens")
        tokens_T = rows["tokens"].to_numpy(np.float64)
        loss_T = rows["loss"].to_numpy(np.float64)
        kept_T = np.isfinite(loss_T) & (loss_T > 0) & (tokens_T > 0)
        return cls(tokens_T[kept_T], loss_T[kept_T])

    def log_loss(self, share: float, tokens: float) -> float:
        return log_loss_at(share, self.tokens_T / tokens, self.loss_T)


def _under_way(
    read: Mapping[str, _Curve], records: "pd.DataFrame"
) -> Iterator[tuple["pd.Series", _Curve, "pd.DataFrame", "pd.DataFrame"]]:
    """Each unfinished run that is far enough along, with its curve, and the finished runs.

    First the finished runs of the same schedule shape, then the others.
    """
    finished = records[(records["status"] == "finished") & records["run_id"].isin(list(read))]
    for _, run in records.iterrows():
        curve = read.get(str(run["run_id"]))
        if run["status"] in ("finished", "diverged") or curve is None:
            continue
        if len(curve.tokens_T) and curve.tokens_T[-1] >= EARLIEST * run["tokens"]:
            same = same_schedule(finished, run)
            yield run, curve, finished[same], finished[~same]


def _end(
    run: "pd.Series",
    curve: _Curve,
    finished: "pd.DataFrame",
    read: Mapping[str, _Curve],
    level: float,
) -> RunEnd:
    tokens = float(run["tokens"])
    progress = float(curve.tokens_T[-1] / tokens)
    ladder = Ladder.of(finished, str(run["run_id"]))
    at_P = np.array([1.0, np.log(run["params"]), np.log(tokens)])
    others = [
        (read[str(name)], float(n))
        for name, n in zip(finished["run_id"], finished["tokens"], strict=True)
    ]

    def logs_at(share: float) -> np.ndarray:
        return np.array([other.log_loss(share, n) for other, n in others])

    now, now_R = curve.log_loss(progress, tokens), logs_at(progress)
    left = ladder.predict(now_R - np.log(finished["loss"].to_numpy(np.float64)), at_P)
    moves = [
        # What a run loses between two moments needs no end, so the noise of ends is not in it.
        _Move.of(
            ladder.predict(logs_at(before) - now_R, at_P), curve.log_loss(before, tokens) - now
        )
        for before in (progress * share for share in _BEFORE)
    ]
    largest = max(moves, key=lambda move: (move.has_left, abs(move.drift)))
    log_end, half = now - left.mean, left.half_width(level)
    return RunEnd(
        run_id=str(run["run_id"]),
        progress=progress,
        loss=math.exp(log_end),
        interval=(math.exp(log_end - half), math.exp(log_end + half)),
        level=level,
        n_finished=len(finished),
        drift=largest.drift,
        expected_drift=largest.expected,
        has_left=largest.has_left,
    )


class _Move(NamedTuple):
    """How far a run's expected end has moved between two moments, and how far others' move."""

    drift: float
    expected: float
    has_left: bool

    @classmethod
    def of(cls, expected: "Forecast", fallen: float) -> "_Move":
        """The move of a run whose log loss has `fallen` so far between two moments."""
        drift = expected.mean - fallen
        return cls(drift, expected.deviation, abs(drift) > expected.half_width(_ALARM_LEVEL))


@dataclass(frozen=True)
class Forecast:
    """A number of one run, predicted from those of finished runs.

    Attributes:
        mean: the prediction.
        deviation: standard deviation of the run about it.
        n_residuals: finished runs beyond the constants of the line, which show that deviation.
    """

    mean: float
    deviation: float
    n_residuals: int

    def half_width(self, level: float) -> float:
        """Half the width of Student's interval."""
        from scipy import stats

        return float(self.deviation * stats.t.ppf((1 + level) / 2, self.n_residuals))


@dataclass(frozen=True)
class Ladder:
    """What predictions regress on: ones, and the logs of parameters and tokens, of finished runs.

    Attributes:
        design_RxP: the numbers of every run.
        centre_P: their means, 0 for the ones, which make the logs small beside the ones.
    """

    design_RxP: np.ndarray
    centre_P: np.ndarray

    @classmethod
    def of(cls, finished: "pd.DataFrame", wanted: str) -> "Ladder":
        """The ladder of finished runs that a run is compared with.

        Raises:
            InputError: fewer than 6 runs, or runs that do not differ in both size and length.
        """
        if len(finished) < LEAST_FINISHED:
            raise InputError(
                f"{len(finished)} finished runs share the schedule of run {wanted}, and its end is "
                f"predicted from {LEAST_FINISHED} or more: wait for smaller runs"
            )
        params_R = np.log(finished["params"].to_numpy(np.float64))
        tokens_R = np.log(finished["tokens"].to_numpy(np.float64))
        design_RxP = np.stack([np.ones(len(finished)), params_R, tokens_R], axis=1)
        centre_P = np.array([0.0, params_R.mean(), tokens_R.mean()])
        if np.linalg.svd(design_RxP - centre_P, compute_uv=False)[-1] < _LEAST_SPREAD:
            raise InputError(
                "the finished runs have one size, or one ratio of tokens to parameters, so what "
                f"size and length change cannot be told apart for run {wanted}: finish runs of "
                "other sizes and lengths"
            )
        return cls(design_RxP, centre_P)

    def predict(self, value_R: np.ndarray, at_P: np.ndarray) -> Forecast:
        """Predict a number of the run at `at_P` from that of every finished run."""
        design_RxP = self.design_RxP - self.centre_P
        at_P = at_P - self.centre_P
        inverse_PxP = np.linalg.inv(design_RxP.T @ design_RxP)
        line_P = inverse_PxP @ (design_RxP.T @ value_R)
        n_residuals = len(value_R) - len(line_P)
        variance = np.sum((value_R - design_RxP @ line_P) ** 2) / n_residuals
        leverage = at_P @ inverse_PxP @ at_P
        deviation = np.sqrt(variance * (1 + leverage))
        return Forecast(float(at_P @ line_P), float(deviation), n_residuals)


def _require_columns(frame: "pd.DataFrame", names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise InputError(
            f"the {what} have no column {missing[0]!r}: they need {', '.join(names)}, as "
            "study.collect and study.curves(..., unfinished=True) give them"
        )
