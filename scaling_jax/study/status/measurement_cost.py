"""What a planned run's measurements cost beside its training: held-out text, tasks and noise."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scaling_jax.accounting.evaluation import evaluation_flops, noise_flops
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.text_needs import is_read_locally

if TYPE_CHECKING:
    from scaling_jax.data.requests import TaskRequests


@dataclass(frozen=True)
class MeasurementCost:
    """FLOPs of a run's own measurements, which no count of training FLOPs includes.

    Attributes:
        along: evaluations before the end of the run, on held-out text and tasks.
        at_end: the evaluation at its end.
        noise: gradients for the gradient noise scale.
    """

    along: int
    at_end: int
    noise: int


@dataclass(frozen=True)
class Measurements:
    """Prices the measurements of runs. A task is read once for all runs that encode it alike."""

    _read: dict[tuple[object, ...], Mapping[str, "TaskRequests"]] = field(default_factory=dict)

    def cost(self, run: PlannedRun) -> MeasurementCost:
        """The cost of a run's own measurements; a branch has none before it begins.

        Left out is a task that cannot be read, or that may have to be downloaded.
        """
        config, begun_at = run.config, run.branch.step if run.branch else 0
        n_points = sum(step > begun_at for step in config.evaluation_steps[:-1])
        n_noise = sum(step > begun_at for step in config.noise_steps)
        along, at_end = evaluation_flops(config, n_points, 0), evaluation_flops(config, 0)
        if tasks := self._tasks(config):
            from scaling_jax.train.task_sets import task_flops

            along += task_flops(config, tasks, n_points, at_end=False)
            at_end += task_flops(config, tasks, 0, at_end=True)
        return MeasurementCost(along, at_end, noise_flops(config, n_noise))

    def _tasks(self, config: RunConfig) -> Mapping[str, "TaskRequests"]:
        """The tasks of a run; the name of its set is the key of each."""
        sets = tuple(each for each in config.evals if each.is_task and is_read_locally(each.corpus))
        key = (sets, config.data.tokenizer, config.shape.seq_len)
        if sets and key not in self._read:
            from scaling_jax.train.inputs import task_of

            found: dict[str, TaskRequests] = {}
            for each in sets:
                # A task with a fault is a problem of the plan's text, which has its own message.
                with suppress(InputError):
                    found[each.name] = task_of(each, config)
            self._read[key] = found
        return self._read.get(key, {})
