"""Scores of a run's parameters on its tasks, at points of the curve and at the end."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling_jax.config import RunConfig
from scaling_jax.data.requests import Request, TaskRequests
from scaling_jax.runs.task_score import Likelihoods, TaskScore, task_score
from scaling_jax.train.scoring import Scoring, requests_flops

# The score of each task, by the name of its set.
Scores = Mapping[str, TaskScore]


class TaskSets:
    """The tasks of runs that share a program.

    A point of the curve takes questions that are evenly spread over those of the end; which ones
    follows from the task alone.
    """

    def __init__(self, tasks: Mapping[str, TaskRequests], score: Scoring) -> None:
        self._tasks, self._score = tasks, score
        for requested in tasks.values():
            score.compile(requested.requests)

    def at_point(self, params: Any) -> Scores:
        """The scores of `params` at a point of the curve."""
        return {
            name: task_score(
                requested,
                self._score(params, requests_of_curve(requested)),
                requested.task.of_curve,
            )
            for name, requested in self._tasks.items()
        }

    def at_end(self, params: Any) -> dict[str, Likelihoods]:
        """The likelihoods of every request under `params`."""
        return {
            name: self._score(params, requested.requests) for name, requested in self._tasks.items()
        }

    def scores(self, found: Mapping[str, Likelihoods]) -> Scores:
        """The scores on every question, given the likelihoods of every request."""
        return {name: task_score(requested, found[name]) for name, requested in self._tasks.items()}

    def last_point(self, found: Mapping[str, Likelihoods]) -> Scores:
        """The last point of the curve, given the likelihoods of every request."""
        return {
            name: task_score(
                requested, found[name].at(places_of_curve(requested)), requested.task.of_curve
            )
            for name, requested in self._tasks.items()
        }


def places_of_curve(requested: TaskRequests) -> np.ndarray:
    """Indices of the requests at a point of the curve."""
    offsets = requested.offsets
    return np.concatenate([np.arange(*offsets[i : i + 2]) for i in requested.task.of_curve])


def requests_of_curve(requested: TaskRequests) -> list[Request]:
    """The requests at a point of the curve."""
    return [requested.requests[i] for i in places_of_curve(requested)]


def task_flops(
    config: RunConfig, tasks: Mapping[str, TaskRequests], n_points: int, at_end: bool
) -> int:
    """FLOPs of scoring `tasks` at `n_points` points of the curve, and at the end if `at_end`."""
    shape, total = config.shape, 0
    for requested in tasks.values():
        total += n_points * requests_flops(shape, requests_of_curve(requested))
        total += at_end * requests_flops(shape, requested.requests)
    return total
