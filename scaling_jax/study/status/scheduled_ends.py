"""Ends of runs by a law of schedules, from files of curves or from a study's directory."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.study.store.scheduled_curves import scheduled_curves
from scaling_jax.study.store.store import Store

if TYPE_CHECKING:
    from scaling_jax.laws.curves import CurveEnd, ScheduledCurve, ScheduleLaw
    from scaling_jax.laws.curves.schedule_forms import ScheduleLawName


@dataclass(frozen=True)
class EndsOfModel:
    """The ends of the runs of one model.

    Attributes:
        law: fitted to its finished curves.
        ends: of its other runs.
    """

    law: "ScheduleLaw"
    ends: "tuple[CurveEnd, ...]"


@dataclass(frozen=True)
class ScheduledEnds:
    """Ends by a law of schedules.

    Attributes:
        groups: the models, with the ends of their runs.
        refused: why runs of other models have none.
    """

    groups: tuple[EndsOfModel, ...]
    refused: tuple[str, ...] = ()


def ends_from(
    sources: Sequence[Path],
    predict: Sequence[Path],
    law: "ScheduleLawName" = "momentum",
    level: float = 0.9,
) -> ScheduledEnds:
    """The expected ends of runs, from finished curves of the same model.

    Args:
        sources: files of curves with `step`, `lr` and `loss`; or one study's directory.
        predict: files with the schedules of runs, and their losses so far; by default the runs
            of the study that are under way.
        law: of schedules.
        level: of the intervals.

    Raises:
        InputError: files that cannot be read, nothing to predict, or curves that determine no
            law.
    """
    if len(sources) == 1 and os.path.isdir(sources[0]):  # noqa: PTH112 - false for bad names
        return _of_study(sources[0], predict, law, level)
    if not predict:
        raise InputError(
            "nothing to predict: give the schedule of a run with --predict, a table of step and lr"
        )
    finished = [_read(path) for path in sources]
    return ScheduledEnds((_ends([_read(path) for path in predict], finished, law, level),))


def _of_study(
    directory: Path, predict: Sequence[Path], law: "ScheduleLawName", level: float
) -> ScheduledEnds:
    models = scheduled_curves(Store.open(directory))
    given = [_read(path) for path in predict]
    if given and len(models) != 1:
        raise InputError(
            f"{directory} has curves of {len(models)} models, and --predict is of one: give the "
            "curves of that model as files"
        )
    groups, refused = [], []
    for model in models:
        runs = given or list(model.under_way)
        if not runs:
            continue
        try:
            groups.append(_ends(runs, model.finished, law, level))
        except InputError as error:
            refused.append(f"the model of {formatting.count(model.params)} parameters: {error}")
    if not groups:
        raise InputError(
            refused[0] if refused else f"{directory} has no run under way: nothing to predict"
        )
    return ScheduledEnds(tuple(groups), tuple(refused))


def _ends(
    runs: "Sequence[ScheduledCurve]",
    finished: "Sequence[ScheduledCurve]",
    law: "ScheduleLawName",
    level: float,
) -> EndsOfModel:
    from scaling_jax.laws.curves.schedule_ends import ends_of, fit_finished

    alone = fit_finished(finished, law)
    return EndsOfModel(alone, tuple(ends_of(runs, finished, alone, level)))


def _read(path: Path) -> "ScheduledCurve":
    from scaling_jax.laws.curves import read_curve
    from scaling_jax.laws.tables.csv_text import csv_frame

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(
            f"cannot read {path}: {reason}; give a CSV file of step, lr and loss"
        ) from error
    return read_curve(csv_frame(text, str(path)), path.stem)
