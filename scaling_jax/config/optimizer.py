"""Configuration of a run's optimizer and learning-rate schedule."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from scaling_jax.config.strict import later, require_one_of, settle_numbers
from scaling_jax.errors import InputError
from scaling_jax.formatting import Readable

OptimizerName = Literal["adamw", "adam", "adafactor", "muon"]
ScheduleName = Literal["cosine", "linear", "constant", "wsd"]

# Default learning rate of the last step, as a fraction of the peak: a tenth for the cosine
# (Hoffmann et al. 2022, appendix B), zero for the other schedules that decay (Hägele et al. 2024).
_FINAL_LR_FRACTION: dict[ScheduleName, float] = {
    "cosine": 0.1,
    "linear": 0.0,
    "constant": 1.0,
    "wsd": 0.0,
}

_COOLDOWN_SHARE = 0.2

# Fedus et al. 2022 (2101.03961): the weight of the balancing loss that Switch Transformers use.
DEFAULT_BALANCE_WEIGHT = 0.01

_LARGEST_FLOAT32 = 3.4028234e38


@dataclass(frozen=True)
class OptimizerConfig(Readable):
    """Configuration of an optimizer and of the learning rate at each step.

    `scaling_jax.train.optimizer` defines the optimizers, `scaling_jax.train.schedule` the
    schedules. A field that the schedule does not use must stay at its default.

    Attributes:
        peak_lr: learning rate at the end of the warm-up.
        warmup_steps: steps of linear warm-up.
        name: `adamw`, `adam`, `adafactor` or `muon`.
        schedule: the learning rate after the warm-up: a cosine (`cosine`) or a line (`linear`) to
            the last step, the peak throughout (`constant`), or the peak and then a cooldown
            (`wsd`).
        final_lr_fraction: learning rate of the last step as a fraction of `peak_lr`: by default
            0.1 for the cosine, 0 for `linear` and `wsd`, and always 1 for `constant`.
        cycle: length of the cosine or line, warm-up included, as a multiple of the run's length.
            Above 1 the run ends before the learning rate reaches its final value.
        cooldown_share: fraction of the steps in the cooldown of `wsd`, by default 0.2.
        beta1, beta2, eps: Adam's decay rates and the constant added to its denominator.
        weight_decay: decoupled weight decay of matrices, multiplied by the learning rate.
        weight_decay_tables: that of the embedding, of learned positions and of the output matrix,
            by default `weight_decay`.
        weight_decay_gains: that of the gains of normalizations.
        average_share: share of the steps, at the end of the run, over whose weights the model is
            the mean; 0 means that the model has the weights after the last step.
        clip_norm: largest global norm of the gradient; larger gradients are scaled down to it.
        balance_weight: weight of the balancing loss of a mixture of experts (eq. 4 of Fedus et
            al. 2022). Recorded losses do not include it.

    Raises:
        InputError: a value outside its range, or a value that the optimizer or schedule does not
            use.
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
    weight_decay_tables: float | None = later(None)
    weight_decay_gains: float = later(0.0)
    average_share: float = later(0.0)

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
        decays = ("weight_decay", "weight_decay_tables", "weight_decay_gains")
        for name in (*decays, "balance_weight"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"{name} {value} must be finite and not negative")
        for name in decays if self.name == "adam" else ():
            if value := getattr(self, name):
                raise InputError(
                    f"{name} {value} with optimizer adam, which has none: set it to 0, or choose "
                    "adamw"
                )
        if not 0 <= self.average_share <= 1:
            raise InputError(
                f"average_share {self.average_share} must lie in [0, 1]: weights can be averaged "
                "over no more than the run, such as over its last tenth with 0.1"
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
        unused = {
            "final_lr_fraction": self.schedule == "constant" and self.final_fraction != 1,
            "cycle": self.schedule in ("constant", "wsd") and self.cycle != 1,
            "cooldown_share": self.schedule != "wsd" and self.cooldown_share is not None,
        }
        for name, is_set in unused.items():
            if is_set:
                raise InputError(
                    f"{name} {getattr(self, name)} has no effect under the {self.schedule} "
                    "schedule: leave it out, or choose another schedule"
                )

    @property
    def final_fraction(self) -> float:
        """`final_lr_fraction`, which is never None after construction."""
        assert self.final_lr_fraction is not None
        return self.final_lr_fraction

    @property
    def averages(self) -> bool:
        """Whether the model is a mean of the weights after several steps."""
        return self.average_share > 0

    def averaged_steps(self, steps: int) -> int:
        """Number of steps, at the end of a run of `steps`, whose weights are averaged."""
        return max(1, round(self.average_share * steps)) if self.averages else 0


def without_horizon(optimizer: OptimizerConfig) -> OptimizerConfig:
    """`optimizer` with fixed values for all that a `Horizon` holds.

    Runs whose optimizers are equal after this can share a compiled program.
    """
    return replace(
        optimizer,
        peak_lr=1.0,
        warmup_steps=0,
        final_lr_fraction=None,
        cycle=1.0,
        cooldown_share=None,
        average_share=float(optimizer.averages),
    )
