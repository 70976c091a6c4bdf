"""Checks of runs before anything is read or trained."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from scaling_jax.config import RunConfig
from scaling_jax.config.optimizer import without_horizon
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.system.agreement import gathered, is_first
from scaling_jax.system.files import read_text

CONFIG_FILE = "config.json"


def check_share_program(configs: Sequence[RunConfig]) -> RunConfig:
    """The first of the runs, all of which one program can train.

    Raises:
        InputError: naming a field in which they differ.
    """
    first, *others = (program_of(config) for config in configs)
    for other in others:
        for name, ours, theirs in _differences(first, other):
            raise InputError(
                f"runs side by side share their {name}, but one has {ours} and another {theirs}: "
                "train them apart"
            )
    return configs[0]


def _differences(ours: RunConfig, theirs: RunConfig) -> Iterator[tuple[str, Any, Any]]:
    """Fields in which two runs differ, with their values."""
    for field in dataclasses.fields(ours):
        values = getattr(ours, field.name), getattr(theirs, field.name)
        if values[0] != values[1]:
            yield field.name, *values


def program_of(config: RunConfig) -> RunConfig:
    """`config` with a fixed value for all that runs of one program may differ in."""
    optimizer = without_horizon(config.optimizer)
    return dataclasses.replace(config, optimizer=optimizer, steps=1, seed=0)


def _check_each_its_directory(
    configs: Sequence[RunConfig], paths: Sequence[epath.Path], *others: Sequence | None
) -> None:
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
    """Refuse the directory of another run."""
    if not is_first() or not (path / CONFIG_FILE).exists():
        return
    theirs = RunConfig.from_json(read_text(path / CONFIG_FILE))
    for name, ours, other in _differences(config, theirs):
        raise InputError(
            f"{path} is the directory of a run whose {name} is {other}, not {ours}: give this one "
            "another"
        )


def _check_same_runs(
    configs: Sequence[RunConfig], paths: Sequence[epath.Path], execution: Execution
) -> None:
    """Refuse, in all of them, processes that are to train different runs together."""
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
                    f"and {first[name]}: start all alike"
                )
