"""Horizons that share a trunk: one long run of each size, and cooldowns from its checkpoints."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import LogSpaced
from scaling_jax.config.run import descent_start
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import Branch, Design, PlannedRun
from scaling_jax.study.plan.recipe import Recipe


@dataclass(frozen=True)
class _Shared:
    """A property that the horizons of one size must agree on, and the rule that makes them agree.

    Attributes:
        name: of the property, for messages.
        value: reads the property from a run.
        rule: the recipe's field that sets the property.
        remedy: rules under which the horizons agree.
    """

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


@dataclass(frozen=True)
class Branched:
    """A design whose runs of one shape share their first steps (Hägele et al. 2024, 2405.18392).

    The longest run of a shape is the trunk; each seed of a shape has a trunk of its own. Each
    shorter run is a branch: it starts from the trunk's checkpoint at the step where its own
    cooldown starts, and then trains as many steps as it would have trained alone. So the schedule
    must be `wsd`, and the horizons of a shape must agree in batch size, peak learning rate and
    warm-up.

    >>> from scaling_jax.study import FixedModels
    >>> design = Branched(FixedModels(params=(1e6, 4e6), tokens_per_param=(5, 10, 20)))

    Attributes:
        design: gives the runs, such as `FixedModels`. To sweep, put the sweep around `Branched`.
    """

    design: Design

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The design's runs; every run but the longest of a shape and seed is its branch.

        Raises:
            InputError: runs of one shape cannot share their steps. The message names the rule
                that makes the runs differ.
        """
        by_shape: dict[object, dict[str, PlannedRun]] = {}
        for run in self.design.runs(recipe):
            own = run.config.shape, run.config.seed
            by_shape.setdefault(own, {}).setdefault(run.config.run_id, run)
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
    horizons = f"horizons of {count_params(first.shape).total:,} parameters cannot share a trunk"
    if (schedule := first.optimizer.schedule) != "wsd":
        raise InputError(
            f"{horizons} under the schedule {schedule!r}, which depends on the horizon from the "
            "first step: set optimizer_knobs={'schedule': 'wsd'}, or plan the design without "
            "Branched"
        )
    if isinstance(first.eval_every, LogSpaced):
        raise InputError(
            f"{horizons}: with LogSpaced evaluations the horizons are evaluated at other steps; "
            "give eval_every a number of tokens, or plan the design without Branched"
        )
    if first.batch_ramp is not None:
        raise InputError(
            f"{horizons}: a batch ramp ends at a share of each horizon, so the horizons part "
            "there; leave out batch_ramp, or plan the design without Branched"
        )
    if first.noise_scale is not None and isinstance(first.noise_scale.every, LogSpaced):
        raise InputError(
            f"{horizons}: with LogSpaced points the noise scale is measured at other steps; give "
            "NoiseScale(every=...) a number of tokens, or plan the design without Branched"
        )
    if descent_start(first) + 1 >= first.steps:
        raise InputError(
            f"{horizons}: a cooldown over {first.optimizer.cooldown_share:g} of "
            f"{first.steps:,} steps is no step; raise cooldown_share or lengthen the horizon"
        )
    share, cooldown = first.optimizer.average_share, first.optimizer.cooldown_share
    if cooldown is not None and share > cooldown:
        raise InputError(
            f"{horizons}: the weights are averaged over {share:g} of each horizon, which begins "
            f"before its cooldown over {cooldown:g}; lower average_share to {cooldown:g}, or plan "
            "the design without Branched"
        )
    for config, shared in itertools.product(configs, _SHARED):
        ours, theirs = shared.value(first), shared.value(config)
        if ours != theirs:
            raise InputError(
                f"{horizons}: the recipe's {shared.rule} gives a {shared.name} of {ours:g} for "
                f"{first.tokens:,} tokens and of {theirs:g} for {config.tokens:,}, but they must "
                f"agree: use {shared.remedy.format(least=min(ours, theirs))}, or plan the design "
                "without Branched"
            )
    if len({replace(config, steps=configs[-1].steps) for config in configs}) > 1:
        raise InputError(f"{horizons}, since they differ in more: write Sweep(Branched(...), ...)")
