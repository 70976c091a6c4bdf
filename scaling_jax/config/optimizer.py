"""The optimizer of a run and the learning rate of each step."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from scaling_jax.config.strict import from_dict as from_dict
from scaling_jax.config.strict import later, settle_numbers
from scaling_jax.config.strict import require_one_of as require_one_of
from scaling_jax.config.strict import require_positive as require_positive
from scaling_jax.errors import InputError

OptimizerName = Literal["adamw", "adam", "adafactor", "muon"]


ScheduleName = Literal["cosine", "linear", "constant", "wsd"]


# Learning rate of the last step over the peak, where none is given: a tenth for the cosine
# (Hoffmann et al. 2022, appendix B), nothing for the others that decay (Hägele et al. 2024).
_FINAL_LR_FRACTION: dict[ScheduleName, float] = {
    "cosine": 0.1,
    "linear": 0.0,
    "constant": 1.0,
    "wsd": 0.0,
}


_COOLDOWN_SHARE = 0.2


DEFAULT_BALANCE_WEIGHT = 0.01


_LARGEST_FLOAT32 = 3.4028234e38


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer and the learning rate of each step.

    `adamw`, `adam`, `muon` and `adafactor` are said in full in `scaling_jax.train.optimizer`,
    the schedules in `scaling_jax.train.schedule`. Fields that a schedule has no use for must be
    left at their defaults.

    Attributes:
        peak_lr: learning rate at the end of the warm-up.
        warmup_steps: steps of linear warm-up.
        name: the optimizer.
        schedule: what follows the warm-up: a cosine or a line to the last step, nothing
            (`constant`), or a hold and then a cooldown (`wsd`).
        final_lr_fraction: learning rate of the last step over `peak_lr`: by default 0.1 for the
            cosine, 0 for `linear` and `wsd`, 1 for `constant`, which has no other.
        cycle: length of the cosine's or the line's descent, warm-up included, over the run's.
            Above 1 the run ends before the descent does.
        cooldown_share: share of the steps that `wsd` cools down over, by default 0.2.
        beta1, beta2, eps: Adam's moments and its denominator's floor.
        weight_decay: decoupled decay of matrices, per unit of learning rate.
        clip_norm: ceiling of the gradient's global norm.
        balance_weight: of the experts' balance in what is minimized (eq. 4 of Fedus et al. 2022);
            no loss that is recorded has it in.

    Raises:
        InputError: a value outside its range, or one that the optimizer or schedule has no use
            for; the message says which.
    """

    peak_lr: float
    warmup_steps: int
    name: OptimizerName = "adamw"
    schedule: ScheduleName = "cosine"
    final_lr_fraction: float | None = None
    cycle: float = 1.0
    cooldown_share: float | None = None
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    balance_weight: float = later(DEFAULT_BALANCE_WEIGHT)

    def __post_init__(self) -> None:
        require_one_of("optimizer", self.name, OptimizerName)
        require_one_of("schedule", self.schedule, ScheduleName)
        settle_numbers(self)
        self._fill_schedule()
        for name in ("peak_lr", "eps", "clip_norm"):
            value = getattr(self, name)
            if not 0 < value <= _LARGEST_FLOAT32:
                raise InputError(f"{name} {value} must be positive and finite, in float32 too")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name} {value} must be at least 0 and below 1")
        for name in ("weight_decay", "balance_weight"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise InputError(f"{name} {value} must be finite and not negative")
        if self.name == "adam" and self.weight_decay:
            raise InputError(
                f"weight_decay {self.weight_decay} with optimizer adam, which has none: set it to "
                "0, or choose adamw"
            )
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps {self.warmup_steps} must not be negative")

    def _fill_schedule(self) -> None:
        if self.final_lr_fraction is None:
            object.__setattr__(self, "final_lr_fraction", _FINAL_LR_FRACTION[self.schedule])
        if self.cooldown_share is None and self.schedule == "wsd":
            object.__setattr__(self, "cooldown_share", _COOLDOWN_SHARE)
        if not 0 <= self.final_fraction <= 1:
            raise InputError(f"final_lr_fraction {self.final_lr_fraction} must lie in [0, 1]")
        if not 1 <= self.cycle < math.inf:
            raise InputError(f"cycle {self.cycle} must be at least 1 and finite")
        if self.cooldown_share is not None and not 0 < self.cooldown_share <= 1:
            raise InputError(f"cooldown_share {self.cooldown_share} must lie in (0, 1]")
        useless = {
            "final_lr_fraction": self.schedule == "constant" and self.final_fraction != 1,
            "cycle": self.schedule in ("constant", "wsd") and self.cycle != 1,
            "cooldown_share": self.schedule != "wsd" and self.cooldown_share is not None,
        }
        for name, refused in useless.items():
            if refused:
                raise InputError(
                    f"{name} {getattr(self, name)} means nothing under the {self.schedule} "
                    "schedule: leave it out, or choose another schedule"
                )

    @property
    def final_fraction(self) -> float:
        """Last learning rate over the peak (`final_lr_fraction`, known after construction)."""
        assert self.final_lr_fraction is not None
        return self.final_lr_fraction


def without_horizon(optimizer: OptimizerConfig) -> OptimizerConfig:
    """`optimizer` with a fixed value for all that a `Horizon` carries, to compare programs by."""
    return replace(
        optimizer,
        peak_lr=1.0,
        warmup_steps=0,
        final_lr_fraction=None,
        cycle=1.0,
        cooldown_share=None,
    )
