"""The trackers: Weights & Biases, MLflow, and JSON lines for a pipe or a file."""

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from scaling_jax.runs.tracking import TrackedRun
from scaling_jax.system.buckets import in_bucket

PROJECT = "scaling_jax"
_TAG = "run_id"


class JsonLines:
    """Appends a line for each step to a file or a named pipe, which several runs may share.

    A run's first line has its configuration and the step after which the run continues; lines of
    later steps that an earlier process wrote are repeated after that line.

    Raises:
        OSError: the file cannot be opened or written.
    """

    def __init__(self, path: str, run: TrackedRun) -> None:
        self._run_id = run.run_id
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._write(study=run.study, resume_step=run.resume_step, config=run.config)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the line of a step."""
        self._write(step=step, **values)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, **values: Any) -> None:
        # Whole lines, so that those of runs that are trained side by side do not mix.
        line = json.dumps({"run_id": self._run_id, **values}) + "\n"
        os.write(self._file, line.encode())


class WeightsAndBiases:
    """A run of Weights & Biases with the id of the run, which a resumed run continues.

    The environment chooses the project (`WANDB_PROJECT`, by default `scaling_jax`), the mode
    (`WANDB_MODE=offline`) and the login. A run's group is its study.

    Raises:
        Exception: an error of the package wandb, such as a missing login.
    """

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        # A worker has no terminal, and a question there would never be answered.
        settings = wandb.Settings(
            silent=True, console="off", login_timeout=10, disable_code=True, x_disable_stats=True
        )
        self._run = wandb.init(
            id=run.run_id,
            name=run.run_id,
            resume="allow",
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.study,
            config=dict(run.config),
            dir=tempfile.gettempdir() if in_bucket(run.directory) else os.fspath(run.directory),
            # Runs that are trained side by side in this process are runs apart.
            reinit="create_new",
            settings=settings,
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step; the service drops those of a step that it already has."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left, and mark the run as finished."""
        self._run.finish()


class MLflow:
    """A run of MLflow with the run's id as a tag, by which a resumed run continues it.

    The environment chooses where the runs are (`MLFLOW_TRACKING_URI`). The experiment is the study.

    Raises:
        Exception: an error of the package mlflow, such as a server that does not answer.
    """

    def __init__(self, run: TrackedRun) -> None:
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient()
        self._last = dict[str, int]()
        experiment = self._experiment(run.study or PROJECT)
        query = f"tags.`{_TAG}` = '{run.run_id}'"
        found = self._client.search_runs([experiment], query, max_results=1)
        self._is_new = not found
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        tags = {_TAG: run.run_id, "mlflow.runName": run.run_id}
        self._id = self._client.create_run(experiment, tags=tags).info.run_id
        for name, value in _flat(run.config).items():
            self._client.log_param(self._id, name, value)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step, without those that the run already has."""
        for name, value in values.items():
            if name not in self._last:
                self._last[name] = self._last_step(name)
            if step > self._last[name]:
                self._client.log_metric(self._id, name, value, step=step)
                self._last[name] = step

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _last_step(self, name: str) -> int:
        if self._is_new:
            return -1
        history = self._client.get_metric_history(self._id, name)
        return max((metric.step for metric in history), default=-1)


def _flat(config: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Nested values under dotted names: `shape.d_model`."""
    flat = dict[str, Any]()
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{within}{name}.")
        else:
            flat[f"{within}{name}"] = value
    return flat
