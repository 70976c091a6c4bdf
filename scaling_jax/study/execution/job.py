"""A job: how runs are trained, the one argument that every executor gets."""

import importlib.util
import os
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from scaling_jax.errors import InputError, suggestion
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.runs.tracking import checked_track
from scaling_jax.study.store.retry_policy import USUAL, Supervision
from scaling_jax.system.files import absolute

Executor = Literal["local", "ray", "slurm"]
LOCAL: Executor = "local"
_PACKAGES = {"ray": "ray", "slurm": "submitit"}


@dataclass(frozen=True)
class Job:
    """How runs are trained. It imports no JAX and can be sent to other processes.

    Attributes:
        workers: processes that train side by side on this machine, or the most tasks under way on
            a cluster. By default one per core on a CPU, which is the fastest for models that fit,
            and one in all on an accelerator.
        pack: the most runs of one program that train side by side in it, spread over the devices.
            By default as many as keep an accelerator busy and fit in half its memory; on a CPU
            one, since one process per core is faster there.
        execution: how each run is computed.
        supervision: how runs that fail, hang or are interrupted are handled.
        retry_failed: also train runs that have failed for good, and again those whose result or
            curve is damaged.
        executor: this machine, or a cluster that sees the store and trains each run as a task.
        executor_options: options of Ray's tasks or Slurm's jobs.
        cache_dir: where tokens are kept: a directory, or a bucket that all hosts read from; None
            for the user's cache.
        progress: show progress on standard error.
        track: trackers that get the metrics and held-out losses of every run, as TensorBoard does:
            wandb, mlflow, or jsonl:PATH for JSON lines in a file or a pipe.

    Raises:
        InputError: a number below 1, a tracker or an executor that does not exist or is not
            installed, or an executor that cannot take the options.
    """

    workers: int | None = None
    pack: int | None = None
    execution: Execution = DEFAULT
    supervision: Supervision = USUAL
    retry_failed: bool = False
    executor: Executor = LOCAL
    executor_options: dict = field(default_factory=dict)
    cache_dir: str | os.PathLike | None = None
    progress: bool = True
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("workers", "pack"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise InputError(f"{name} {count} must be at least 1")
        if self.cache_dir is not None:
            from scaling_jax.data import place

            place(self.cache_dir)
            # Text, so that a worker process can be sent the job as JSON.
            object.__setattr__(self, "cache_dir", os.fspath(absolute(self.cache_dir)))
        object.__setattr__(self, "track", checked_track(self.track))
        _check_executor(self.executor, self.pack, self.executor_options)

    @property
    def token_bytes(self) -> int:
        """The most bytes of tokens that a process keeps in memory, as it does of those in buckets.

        Tokens in a directory are memory-mapped.
        """
        from scaling_jax.data import place

        where = place(self.cache_dir)
        return where.memory if where.is_shared else 0

    @property
    def is_local(self) -> bool:
        """Whether this machine trains the runs."""
        return self.executor == LOCAL


class JobOptions(TypedDict, total=False):
    """The fields of `Job` as keyword arguments."""

    workers: int | None
    pack: int | None
    execution: Execution
    supervision: Supervision
    retry_failed: bool
    executor: Executor
    executor_options: dict[str, Any]
    cache_dir: str | os.PathLike | None
    progress: bool
    track: tuple[str, ...]


def _check_executor(name: str, pack: int | None, options: dict) -> None:
    if name not in get_args(Executor):
        raise InputError(f"executor {name!r} is unknown{suggestion(name, get_args(Executor))}")
    if name == LOCAL:
        if options:
            raise InputError(
                f"executor {LOCAL!r} has no options, but {', '.join(options)} is given: leave it "
                f"out, or choose one of {', '.join(_PACKAGES)}"
            )
        return
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        raise InputError(
            f"executor {name!r} needs the package {_PACKAGES[name]}, which is not installed: "
            f"pip install 'scaling_jax[{name}]'"
        )
    if pack not in (None, 1):
        raise InputError(f"pack {pack}: a task of {name} trains one run; leave it out")


DEFAULT_JOB = Job()
