"""Checks of runs before data is read, a program is compiled or a step is taken."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from scaling_jax.config import RunConfig, program_of
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.system.agreement import gathered, is_first
from scaling_jax.system.files import read_text

CONFIG_FILE = "config.json"


def check_same_program(configs: Sequence[RunConfig]) -> None:
    """Check that one compiled program can train all runs.

    Raises:
        InputError: it cannot; the message names a field in which two runs differ.
    """
    first, *others = (program_of(config) for config in configs)
    for other in others:
        for name, ours, theirs in _differences(first, other):
            raise InputError(
                f"runs side by side share their {name}, but one has {ours} and another {theirs}: "
                "train them separately"
            )


def _differences(ours: RunConfig, theirs: RunConfig) -> Iterator[tuple[str, Any, Any]]:
    for field in dataclasses.fields(ours):
        values = getattr(ours, field.name), getattr(theirs, field.name)
        if values[0] != values[1]:
            yield field.name, *values


def check_directories(
    configs: Sequence[RunConfig], paths: Sequence[epath.Path], *others: Sequence | None
) -> None:
    """Check that every run has a directory of its own, and a value in each of `others`.

    Raises:
        InputError: no runs, a directory given twice, a directory of another run, or sequences of
            different lengths.
    """
    if not configs:
        raise InputError("no runs to train: give at least one")
    for config in configs:
        if not isinstance(config, RunConfig):
            raise InputError(
                f"{config!r} is not a RunConfig: make one, or read one with RunConfig.from_json"
            )
    if len(set(paths)) != len(paths):
        raise InputError(f"{len(configs)} runs in {list(map(str, paths))}: give each its own")
    for values in (paths, *others):
        if values is not None and len(values) != len(configs):
            raise InputError(f"{len(values)} values for {len(configs)} runs: give one for each")
    for config, path in zip(configs, paths, strict=True):
        _check_same_run(config, path)


def _check_same_run(config: RunConfig, path: epath.Path) -> None:
    if not is_first() or not (path / CONFIG_FILE).exists():
        return
    try:
        theirs = RunConfig.from_json(read_text(path / CONFIG_FILE))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path / CONFIG_FILE} is damaged ({getattr(error, 'strerror', None) or error}): "
            "restore it, or give another directory"
        ) from error
    for name, ours, other in _differences(config, theirs):
        raise InputError(
            f"{path} is the directory of a run whose {name} is {other}, not {ours}: give another "
            "directory"
        )


def check_processes_agree(
    configs: Sequence[RunConfig], paths: Sequence[epath.Path], execution: Execution
) -> None:
    """Check that all processes that train together were started with the same arguments.

    Raises:
        InputError: they were not; every process raises the same error.
    """
    ours = {
        "directories": list(map(str, paths)),
        "runs": [config.to_json() for config in configs],
        "execution": dataclasses.asdict(execution),
    }
    first, *others = gathered(ours)
    for i, theirs in enumerate(others, 1):
        for name in ours:
            if theirs[name] != first[name]:
                raise InputError(
                    f"process {i} was started with other {name} than process 0, {theirs[name]} "
                    f"and {first[name]}: start all processes with the same"
                )
