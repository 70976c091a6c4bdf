"""Accuracy on a task in two steps: a law of the loss, and a sigmoid from the loss to accuracy.

The first step is a law of the held-out loss, or of the bits per byte of the task's right answers
(Bhagia et al. 2024, 2412.04403; Llama 3, 2407.21783, section 3.2.1). The second is a sigmoid from
chance to 1, fitted to the same runs. Bootstrap draws of the first, with the error of its form, pass
through those of the second.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError, nearest
from scaling_jax.laws.allocation import Prediction
from scaling_jax.laws.catalogue.find import LawLike
from scaling_jax.laws.decisions.answers import Answer
from scaling_jax.laws.decisions.two_stage import Chain
from scaling_jax.laws.fitting import fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.notes import Note
from scaling_jax.laws.tables.read import Table, load_table

if TYPE_CHECKING:
    import pandas as pd

_METRICS = ("acc_norm_", "acc_bytes_", "acc_token_", "acc_")
# Runs at chance pass as better in this share of studies at most.
_FALSE_ALARMS = 0.05
_FEWEST_RUNS = 4


@dataclass(frozen=True)
class TaskPrediction:
    """The accuracy that a run is expected to have on a task.

    Attributes:
        accuracy: its column.
        through: the column of the loss between the two steps.
        between: the first step's prediction of it.
        made: the second step's prediction; its intervals hold the errors of both steps.
        chance: the sigmoid's lower end.
        level: of the intervals.
        n_runs: runs that the sigmoid was fitted to.
    """

    accuracy: str
    through: str
    between: Prediction
    made: Prediction
    chance: float
    level: float
    n_runs: int

    def __str__(self) -> str:
        level = formatting.level(self.level)
        lines = [
            f"{self.accuracy}  {self.made.value:.4f}  (chance {self.chance:.4g}; by a sigmoid of "
            f"{self.through} {self.between.value:.4f}, fitted to {self.n_runs} runs)"
        ]
        for bounds, meaning in (
            (self.made.interval, "of a measured run"),
            (self.made.law_interval, "of both laws, with the error of the first one's form"),
        ):
            if bounds is not None:
                text = formatting.interval(bounds, formatting.constant)
                lines.append(f"      {level} interval {meaning}: {text}")
        if self.through in self.made.outside:
            lines.append(
                f"      {self.through} {self.between.value:.4f} lies outside the runs': the "
                "sigmoid is extrapolated, and that it rises to 1 is assumed"
            )
        return "\n".join(lines)


def predict_task(
    table: Table,
    task: str,
    *,
    law: LawLike = "auto",
    chance: float | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    **variables: float,
) -> TaskPrediction:
    """Predict the accuracy on a task at a budget (`flops=`), or of a run (`params=`, `tokens=`).

    Args:
        table: one row per run, with a column `acc_<task>`, and `bits_per_byte_<task>` or `loss`.
        task: the name of the task, or the column of an accuracy, such as `acc_norm_piqa`.
        law: of the first step, as `fit` takes it; it is fitted to the bits per byte of the right
            answers where the table has them, and to the loss otherwise.
        chance: accuracy of a random choice; by default the table's `chance_<task>`, or 0.
        columns: our name -> the table's.
        seed: of the resamples.

    Raises:
        InputError: a missing column, too few runs, accuracies that are at chance in every run or
            do not rise as the loss falls, or a reason of `fit`, `optimal` and `predict`.
    """
    frame = load_table(table, columns=columns)
    accuracy, name = _accuracy(frame, task)
    through = _through(frame, name)
    is_known = np.isfinite(frame[[accuracy, through]].to_numpy(np.float64)).all(axis=1)
    if "status" in frame:
        is_known = is_known & (frame["status"] == "finished").to_numpy(bool)
    known: pd.DataFrame = frame.iloc[np.flatnonzero(is_known)]
    chance = _chance(known, name) if chance is None else chance
    _refuse_chance(known, accuracy, name, chance)
    _refuse_rising(known, accuracy, through)
    loss = known.assign(loss=known[through], loss_stderr=None).drop(columns="loss_stderr")
    first = fit(loss, law=law, seed=seed, unit=_unit(through))
    assert isinstance(first, LawFit)
    step = fit(
        loss.assign(accuracy=known[accuracy]),
        law="accuracy-sigmoid",
        fixed={"chance": chance, "ceiling": 1.0},
        level=first.level,
        seed=seed,
        resampling="rows",
    )
    assert isinstance(step, LawFit)
    at = _variables(first, variables)
    made = Chain(first, step).predict(**at)
    outside = tuple(through if each == "loss" else each for each in made.outside)
    return TaskPrediction(
        accuracy,
        through,
        first.predict(**at),
        dataclasses.replace(made, outside=outside),
        chance,
        first.level,
        len(known),
    )


def task_answer(found: TaskPrediction) -> Answer:
    """A prediction as plain data, in words, and with its notes."""
    notes: tuple[Note, ...] = ()
    return {"task": dataclasses.asdict(found)}, str(found), notes


def _accuracy(frame: "pd.DataFrame", task: str) -> tuple[str, str]:
    """The column of the accuracy, and the name of the task."""
    name = next((task.removeprefix(m) for m in _METRICS if task.startswith(m)), task)
    column = task if task != name else f"acc_{name}"
    if column not in frame:
        there = [str(c) for c in frame if str(c).startswith(_METRICS)]
        listed = ", ".join(c for c in there if not c.endswith("_stderr")) or "none"
        raise InputError(
            f"the table has no column {column!r}{nearest(column, there)} (accuracies there: "
            f"{listed}): evaluate the runs on the task, with EvalSet({name!r}, 'task:PATH')"
        )
    return column, name


def _through(frame: "pd.DataFrame", name: str) -> str:
    own = f"bits_per_byte_{name}"
    return own if own in frame else "loss"


def _unit(through: str) -> str | None:
    return "bits per byte" if through.startswith("bits_per_byte") else None


def _chance(known: "pd.DataFrame", name: str) -> float:
    column = f"chance_{name}"
    if column not in known or known[column].isna().all():
        return 0.0
    values = sorted(set(known[column].dropna()))
    if len(values) > 1:
        raise InputError(
            f"column {column!r} has {len(values)} values ({values[0]:g} to {values[-1]:g}), so the "
            "runs were scored on different questions: evaluate all of them on the same task"
        )
    return float(values[0])


def _refuse_chance(known: "pd.DataFrame", accuracy: str, name: str, chance: float) -> None:
    if len(known) < _FEWEST_RUNS:
        raise InputError(
            f"{len(known)} runs have {accuracy!r} and a loss, but a sigmoid needs {_FEWEST_RUNS}: "
            "evaluate more runs on the task"
        )
    from scipy.special import ndtri

    least = 0.0
    questions = f"questions_{name}"
    if questions in known:
        error = math.sqrt(chance * (1 - chance) / float(known[questions].min()))
        # The largest of several accuracies lies above chance by luck more often than one.
        least = float(-ndtri(_FALSE_ALARMS / len(known))) * error
    best = float(known[accuracy].max())
    if best <= chance + least:
        raise InputError(
            f"{accuracy!r} is at chance in every run: the best of {len(known)} is {best:.4g}, "
            f"chance is {chance:.4g}, and luck alone reaches {chance + least:.4g}. The runs do not "
            "show how accuracy rises: predict bits per byte, train larger runs, or ask more "
            "questions"
        )


def _refuse_rising(known: "pd.DataFrame", accuracy: str, through: str) -> None:
    from scipy.stats import spearmanr

    correlation = float(spearmanr(known[accuracy], known[through]).statistic)
    if not correlation < 0:
        raise InputError(
            f"{accuracy!r} does not rise as {through!r} falls (rank correlation {correlation:.2f}"
            "): the runs give no curve from one to the other"
        )


def _variables(first: LawFit, given: Mapping[str, float]) -> dict[str, float]:
    """The run to predict: the one given, or the compute-optimal one of a budget."""
    if set(given) == {"flops"} and "flops" not in first.definition.variables:
        best = first.optimal(given["flops"])
        return {"params": best.params, "tokens": best.tokens}
    return dict(given)
