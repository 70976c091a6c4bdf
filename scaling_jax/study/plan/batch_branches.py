"""Branches of a run with other batch sizes, all on the tokens that the run reads next."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from scaling_jax.accounting import flops
from scaling_jax.config import OptimizerConfig, RunConfig, Start, from_dict
from scaling_jax.config.run import descent_start
from scaling_jax.config.strict import number, require_one_of, stored_fields
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import Branch, Design, PlannedRun
from scaling_jax.study.plan.recipe import Recipe

LRScaling = Literal["sqrt", "linear", "constant"]

_EXPONENTS = dict(zip(get_args(LRScaling), (0.5, 1.0, 0.0), strict=True))


@dataclass(frozen=True)
class BatchBranches:
    """A design whose runs are continued with several batch sizes over one window of tokens.

    Every run of the inner design is a trunk. At each of the points `at`, each factor gives a branch
    that starts with the trunk's parameters and optimizer moments, and trains with a batch `factor`
    times as large on the tokens that the trunk reads next, the same tokens for all factors. Its
    steps, tokens and FLOPs are those of the window alone. The loss after the window against the
    batch gives the critical batch at that point (Merrill et al. 2025, 2505.23971), which
    `laws.largest_batch` reads from the table of `branch_losses`. Laws are fitted to the trunks, and
    never to branches.

    >>> from scaling_jax.study import FixedModels
    >>> design = BatchBranches(
    ...     FixedModels(params=(1e6,), tokens_per_param=(20,)),
    ...     at=(0.1, 0.5),
    ...     factors=(1, 2, 4, 8, 16),
    ...     window=1e6,
    ... )

    Attributes:
        design: gives the trunks, under the schedule `constant` or `wsd`.
        at: points at which branches start, as shares of a trunk's steps; 1 is its end.
        factors: batch sizes of the branches, as multiples of the trunk's.
        window: training tokens of a branch, rounded to whole batches of every size.
        lr: how the learning rate grows with the batch: with its square root (`sqrt`, for Adam),
            linearly (`linear`, for gradient descent), or not at all (`constant`).
        knobs: fields of `OptimizerConfig` for the window; by default its learning rate is constant
            and there is no warm-up.

    Raises:
        InputError: a point outside (0, 1], a factor or window that is not positive, fewer than two
            factors, or an unknown rule.
    """

    design: Design
    at: tuple[float, ...]
    factors: tuple[float, ...]
    window: float
    lr: LRScaling = "sqrt"
    knobs: dict[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("at", "factors"):
            values = tuple(number(name, value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
        object.__setattr__(self, "window", number("window", self.window))
        require_one_of("lr", self.lr, LRScaling)
        if not self.at or not all(0 < share <= 1 for share in self.at):
            raise InputError(f"at {self.at} must be shares of a run, above 0 and up to 1")
        if len(set(self.factors)) < 2 or not all(0 < f < math.inf for f in self.factors):
            raise InputError(f"factors {self.factors} must be at least two positive numbers")
        if not 0 < self.window < math.inf:
            raise InputError(f"window {self.window} must be a positive number of tokens")

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The trunks, each followed by its branches.

        Raises:
            InputError: a trunk whose learning rate at a point is not its peak, a factor that gives
                no whole batch, or a window of a single step.
        """
        for trunk in self.design.runs(recipe):
            yield trunk
            for share in self.at:
                step = max(1, round(share * trunk.config.steps))
                _check_at_peak(trunk.config, step)
                yield from self._branches(trunk, step)

    def _branches(self, trunk: PlannedRun, step: int) -> Iterator[PlannedRun]:
        config = trunk.config
        batches = [_batch(factor, config.batch_size) for factor in self.factors]
        whole = math.lcm(*batches) * config.shape.seq_len
        tokens = max(1, round(self.window / whole)) * whole
        if tokens // (max(batches) * config.shape.seq_len) < 2:
            raise InputError(
                f"a window of {self.window:,.0f} tokens is a single step of {max(batches):,} "
                f"sequences of {config.shape.seq_len}: lengthen the window or lower the factors"
            )
        for factor, batch in zip(self.factors, batches, strict=True):
            branch = replace(
                config,
                batch_size=batch,
                steps=tokens // (batch * config.shape.seq_len),
                optimizer=self._optimizer(config.optimizer, factor),
                eval_every=None,
                curve_tokens=None,
                noise_scale=None,
                batch_ramp=None,
                start=Start(config.run_id, step, config.batch_size),
            )
            own = flops.training_flops(branch.shape, branch.tokens, trunk.convention)
            yield PlannedRun(
                branch,
                float(own),
                "branch",
                trunk.convention,
                branch=Branch(config.run_id, step),
                variation=trunk.variation,
            )

    def _optimizer(self, trunk: OptimizerConfig, factor: float) -> OptimizerConfig:
        of_schedule = ("final_lr_fraction", "cycle", "cooldown_share")
        kept = {k: v for k, v in stored_fields(trunk).items() if k not in of_schedule}
        peak_lr = float(f"{trunk.peak_lr * factor ** _EXPONENTS[self.lr]:.6g}")
        own = {"peak_lr": peak_lr, "schedule": "constant", "warmup_steps": 0}
        return from_dict(OptimizerConfig, kept | own | self.knobs)


def _batch(factor: float, sequences: int) -> int:
    batch = factor * sequences
    if abs(batch - round(batch)) > 1e-6 * batch or round(batch) < 1:
        raise InputError(
            f"factor {factor:g} of a batch of {sequences} sequences is {batch:g}: give factors of "
            "whole batches"
        )
    return round(batch)


def _check_at_peak(config: RunConfig, step: int) -> None:
    optimizer = config.optimizer
    if optimizer.schedule not in ("constant", "wsd"):
        raise InputError(
            f"branches of a run under the schedule {optimizer.schedule!r}: their learning rate "
            "follows the trunk's peak, so set optimizer_knobs={'schedule': 'constant'}, or wsd"
        )
    last = descent_start(config) + 1 if optimizer.schedule == "wsd" else config.steps
    if not optimizer.warmup_steps <= step <= last:
        raise InputError(
            f"branches at step {step:,} of {config.steps:,}: the learning rate is at its peak from "
            f"step {optimizer.warmup_steps:,} to {last:,}; choose another point in at"
        )
