"""Rules of a recipe: learning rate, batch size and warm-up from the size of a run.

A rule is a function of a shape and of training tokens; any such function will do. Those of the
literature are in `scaling_jax.study.plan.published_rules`.
"""

from dataclasses import dataclass

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.study.plan.published_rules import (
    DeepSeekBatch,
    DeepSeekLR,
    HoffmannLR,
    KaplanLR,
    PorianBatch,
    PorianLR,
    StepLawBatch,
    StepLawLR,
)


@dataclass(frozen=True)
class ConstantLR:
    """The same peak learning rate at every size."""

    value: float

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        return self.value


@dataclass(frozen=True)
class PowerLawLR:
    """`value * (N / reference_params) ** exponent`, N total parameters."""

    value: float
    reference_params: float
    exponent: float = -1 / 3

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        params = count_params(shape).total
        return self.value * (params / self.reference_params) ** self.exponent


@dataclass(frozen=True)
class ComputeLR:
    """`value * (C / reference_flops) ** exponent`, C = 6 N D with N total parameters.

    The form of `DeepSeekLR`, which is for batches that grow with compute. At a fixed batch the
    best rate falls faster.
    """

    value: float
    reference_flops: float
    exponent: float = -0.125

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        flops = 6 * count_params(shape).total * tokens
        return self.value * (flops / self.reference_flops) ** self.exponent


LearningRateRule = (
    ConstantLR | PowerLawLR | ComputeLR | KaplanLR | HoffmannLR | PorianLR | StepLawLR | DeepSeekLR
)


@dataclass(frozen=True)
class ConstantBatch:
    """The same number of sequences per step at every size."""

    sequences: int

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        return self.sequences


@dataclass(frozen=True)
class PowerLawBatch:
    """`sequences * (N / reference_params) ** exponent`, rounded, N total parameters."""

    sequences: float
    reference_params: float
    exponent: float = 2 / 3

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        params = count_params(shape).total
        return max(1, round(self.sequences * (params / self.reference_params) ** self.exponent))


BatchRule = ConstantBatch | PowerLawBatch | PorianBatch | StepLawBatch | DeepSeekBatch


@dataclass(frozen=True)
class Warmup:
    """Warm-up as a share of the horizon, between a floor and a ceiling in steps.

    The floor itself gives way in very short runs: at most half the run warms up.
    """

    share: float = 0.05
    floor: int = 10
    ceiling: int = 2000

    def __call__(self, steps: int) -> int:
        """Warm-up steps of a run of `steps`."""
        return min(max(round(self.share * steps), self.floor), self.ceiling, steps // 2)
