"""Horizons that share a trunk: one long run of each size, and its cooldowns from checkpoints."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig
from scaling_jax.config.run import descent_start
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import Branch, PlannedRun
from scaling_jax.study.plan.recipe import Recipe


@dataclass(frozen=True)
class _Shared:
    """What horizons of one size must have in common, and how it comes to be so."""

    name: str
    value: Callable[[RunConfig], float]
    rule: str
    remedy: str


_SHARED = (
    _Shared(
        "batch size",
        lambda config: config.batch_size,
        "batch_size",
        "ConstantBatch or PowerLawBatch, small enough not to be halved to meet a budget",
    ),
    _Shared(
        "peak learning rate",
        lambda config: config.optimizer.peak_lr,
        "peak_lr",
        "ConstantLR or PowerLawLR",
    ),
    _Shared(
        "warm-up",
        lambda config: config.optimizer.warmup_steps,
        "warmup",
        "Warmup(share=0, floor={least:g})",
    ),
)


class Cells(Protocol):
    """A design whose runs differ in shape and tokens alone."""

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """Its runs under a recipe."""


@dataclass(frozen=True)
class Branched:
    """The runs of another design, those of one shape sharing their steps (Hägele et al. 2024).

    The longest run of a shape is the trunk. Each shorter one is a branch: it begins from the
    trunk's checkpoint at the step where its own cooldown begins, and ends where it would have
    ended if it had been trained from its first step. So the schedule must be `wsd`, and the
    horizons of a shape must agree in batch size, peak learning rate and warm-up.

    Attributes:
        design: the runs, such as `FixedModels`; a sweep goes around this design, not into it.
    """

    design: Cells

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The design's runs, each but the longest of a shape a branch of that one.

        Raises:
            InputError: runs of one shape that cannot share their steps, naming the rule that
                keeps them apart.
        """
        by_shape: dict[object, dict[str, PlannedRun]] = {}
        for run in self.design.runs(recipe):
            by_shape.setdefault(run.config.shape, {}).setdefault(run.config.run_id, run)
        for runs in by_shape.values():
            yield from _branched(sorted(runs.values(), key=lambda run: run.config.tokens))


def _branched(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    *shorter, trunk = runs
    if not shorter:
        return [trunk]
    _check_shared([run.config for run in runs])
    name = trunk.config.run_id
    branches = [Branch(name, descent_start(run.config) + 1) for run in shorter]
    return [replace(run, branch=at) for run, at in zip(shorter, branches, strict=True)] + [trunk]


def _check_shared(configs: Sequence[RunConfig]) -> None:
    first = configs[0]
    who = f"horizons of {count_params(first.shape).total:,} parameters cannot share a trunk"
    if (schedule := first.optimizer.schedule) != "wsd":
        raise InputError(
            f"{who} under the schedule {schedule!r}, which follows the horizon from the start: set "
            "optimizer_knobs={'schedule': 'wsd'}, or plan the design without Branched"
        )
    if descent_start(first) + 1 >= first.steps:
        raise InputError(
            f"{who}: a cooldown over {first.optimizer.cooldown_share:g} of {first.steps:,} steps "
            "is no step; raise cooldown_share or lengthen the horizon"
        )
    for config, shared in itertools.product(configs, _SHARED):
        ours, theirs = shared.value(first), shared.value(config)
        if ours != theirs:
            raise InputError(
                f"{who}: the recipe's {shared.rule} gives a {shared.name} of {ours:g} for "
                f"{first.tokens:,} tokens and of {theirs:g} for {config.tokens:,}, but they must "
                f"agree: use {shared.remedy.format(least=min(ours, theirs))}, or plan the design "
                "without Branched"
            )
    if len({replace(config, steps=configs[-1].steps) for config in configs}) > 1:
        raise InputError(f"{who}, since they differ in more: write Sweep(Branched(...), ...)")
