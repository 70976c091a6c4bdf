"""A run's end from its beginning, judged by the beginnings and ends of a ladder's finished runs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.curves.ladder_line import Forecast, LadderLine
from scaling_jax.laws.curves.ladder_process import LadderProcess
from scaling_jax.laws.curves.same_recipe import other_recipes, same_recipe
from scaling_jax.laws.curves.smoothed import log_loss_at

if TYPE_CHECKING:
    import pandas as pd

# Before this share of a run the warm-up, the size and the length move the curve too much.
EARLIEST = 0.1
# Runs far away say little, and the time grows with the cube of the runs.
_MOST_FINISHED = 100

# A run leaves the band of its ladder where it falls from one moment to another by less or more than
# all but one healthy run in a thousand do.
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
        n_finished: the finished runs of the same recipe that were compared, at most the nearest
            100.
        drift: how far the run has moved away from its ladder's course since earlier in the run, as
            a share of the loss; above 0, the run has fallen by less.
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

    The ends of the finished runs of one recipe say how the loss falls with parameters and tokens,
    and the beginnings of these runs and of this one, up to the same share of their tokens, say how
    it falls on from there. Curves of one recipe nearly collapse (Qiu et al. 2025, 2507.02119), so
    both bend alike along the ladder. What remains of the run's beginning is luck, which counts at
    the end as far as it did in the finished runs. `LadderProcess` holds that model. The interval is
    Student's, with as many degrees of freedom as the finished runs have sizes and lengths beyond
    three.

    Args:
        curves: rows with `run_id`, `tokens` and `loss` along runs, as `study.curves` gives them
            with `unfinished=True`. Training losses serve, and held-out ones.
        records: rows with `run_id`, `status`, `params`, `tokens` (of the whole run) and `loss`, as
            `study.collect` gives them; columns of the recipe keep different recipes apart.
        level: of the intervals.

    Returns:
        One `RunEnd` for each run without a result whose curve has reached a tenth of it, in the
        order of the records.

    Raises:
        InputError: missing columns; or no such run can be compared, because fewer than 6 finished
            runs of 4 sizes and lengths have its recipe, or these do not show what size and length
            change.
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
            refused.append(InputError(f"{error}{other_recipes(run, others)}"))
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

    @property
    def first_tokens(self) -> float:
        """Infinite for a curve without points."""
        return float(self.tokens_T[0]) if len(self.tokens_T) else math.inf

    def log_loss(self, share: float, tokens: float) -> float:
        return log_loss_at(share, self.tokens_T / tokens, self.loss_T)


def _under_way(
    read: Mapping[str, _Curve], records: "pd.DataFrame"
) -> Iterator[tuple["pd.Series", _Curve, "pd.DataFrame", "pd.DataFrame"]]:
    """Each unfinished run that is far enough along, with its curve, and the finished runs.

    First the finished runs of the same recipe whose curves begin as early, then the others.
    """
    finished = records[(records["status"] == "finished") & records["run_id"].isin(list(read))]
    first_R = np.array([read[str(name)].first_tokens for name in finished["run_id"]])
    first_R = first_R / finished["tokens"].to_numpy(np.float64)
    for _, run in records.iterrows():
        curve = read.get(str(run["run_id"]))
        if run["status"] in ("finished", "diverged") or curve is None or not len(curve.tokens_T):
            continue
        progress = curve.tokens_T[-1] / float(run["tokens"])
        before = progress * min(_BEFORE)
        if progress >= EARLIEST and curve.first_tokens <= before * float(run["tokens"]):
            same = same_recipe(finished, run) & (first_R <= before)
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
    at_2 = np.log([float(run["params"]), tokens])
    place_Rx2 = np.log(finished[["params", "tokens"]].to_numpy(np.float64))
    nearest_R = np.argsort(np.sum((place_Rx2 - at_2) ** 2, axis=1))[:_MOST_FINISHED]
    finished, place_Rx2 = finished.iloc[nearest_R], place_Rx2[nearest_R]
    line = LadderLine.of(place_Rx2, at_2, str(run["run_id"]))
    others = [
        (read[str(name)], float(n))
        for name, n in zip(finished["run_id"], finished["tokens"], strict=True)
    ]

    def logs_at(share: float) -> np.ndarray:
        return np.array([other.log_loss(share, n) for other, n in others])

    now, now_R = curve.log_loss(progress, tokens), logs_at(progress)
    process = LadderProcess.of(
        np.vstack([place_Rx2, at_2]),
        np.append(now_R, now),
        np.log(finished["loss"].to_numpy(np.float64)),
    )
    end = process.forecast()
    half = end.half_width(level)
    moves = [
        # What a run loses between two moments needs no end, so the noise of ends is not in it.
        _Move.of(line.predict(logs_at(before) - now_R), curve.log_loss(before, tokens) - now)
        for before in (progress * share for share in _BEFORE)
    ]
    largest = max(moves, key=lambda move: (move.has_left, abs(move.drift)))
    return RunEnd(
        run_id=str(run["run_id"]),
        progress=progress,
        loss=math.exp(end.mean),
        interval=(math.exp(end.mean - half), math.exp(end.mean + half)),
        level=level,
        n_finished=len(finished),
        drift=largest.drift,
        expected_drift=largest.expected,
        has_left=largest.has_left,
    )


class _Move(NamedTuple):
    """How far a run has moved from its ladder's course between two moments, and how far others."""

    drift: float
    expected: float
    has_left: bool

    @classmethod
    def of(cls, expected: Forecast, fallen: float) -> "_Move":
        """The move of a run whose log loss has `fallen` so far between two moments."""
        drift = expected.mean - fallen
        return cls(drift, expected.deviation, abs(drift) > expected.half_width(_ALARM_LEVEL))


def _require_columns(frame: "pd.DataFrame", names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise InputError(
            f"the {what} have no column {missing[0]!r}: they need {', '.join(names)}, as "
            "study.collect and study.curves(..., unfinished=True) give them"
        )
