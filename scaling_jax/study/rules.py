"""Rules of a recipe: learning rate, batch size and warm-up from the size of a run."""

import math
from dataclasses import dataclass

from scaling_jax.errors import InputError
from scaling_jax.flops import ParamCount


@dataclass(frozen=True)
class ConstantLR:
    """The same peak learning rate at every size."""

    value: float

    def __call__(self, params: ParamCount, tokens: int) -> float:
        """Peak learning rate."""
        return self.value


@dataclass(frozen=True)
class PowerLawLR:
    """`value * (N / reference_params) ** exponent`, N total parameters.

    Porian et al. 2024 (2406.19146) tune 0.0047, 108e6 and -1/3, fitted over 2.5e7 < N < 1.1e8.
    """

    value: float
    reference_params: float
    exponent: float = -1 / 3

    def __call__(self, params: ParamCount, tokens: int) -> float:
        """Peak learning rate."""
        return self.value * (params.total / self.reference_params) ** self.exponent


@dataclass(frozen=True)
class ComputeLR:
    """`value * (C / reference_flops) ** exponent`, C = 6 N D with N total parameters.

    The form of DeepSeek LLM (2401.02954), who fit 0.3118 C^-0.125, C in their own count, for
    batches that grow with compute. At a fixed batch the best rate falls faster.
    """

    value: float
    reference_flops: float
    exponent: float = -0.125

    def __call__(self, params: ParamCount, tokens: int) -> float:
        """Peak learning rate."""
        return self.value * (6 * params.total * tokens / self.reference_flops) ** self.exponent


@dataclass(frozen=True)
class KaplanLR:
    """`0.003239 - 0.0001395 ln N`, N non-embedding (Kaplan et al. 2020, appendix D.6).

    Meant for N up to 1e10; it falls to zero at about 1.2e10.
    """

    def __call__(self, params: ParamCount, tokens: int) -> float:
        """Peak learning rate.

        Raises:
            InputError: a model so large that the rule is no longer positive.
        """
        lr = 0.003239 - 0.0001395 * math.log(params.non_embedding)
        if lr <= 0:
            raise InputError(
                f"Kaplan's learning-rate rule gives {lr:.2g} at {params.non_embedding} "
                "non-embedding parameters: it holds below 1e10; use another rule"
            )
        return lr


@dataclass(frozen=True)
class HoffmannLR:
    """From 2e-4 for 70M parameters down to 1.25e-4 for 16B, linear in log N.

    Hoffmann et al. 2022 give the two ends ("2e-4 for the smallest to 1.25e-4 for the largest
    models"); the line between them is our reading. Constant beyond the ends.
    """

    def __call__(self, params: ParamCount, tokens: int) -> float:
        """Peak learning rate."""
        share = math.log(params.total / 70e6) / math.log(16.183e9 / 70e6)
        return 2e-4 + (1.25e-4 - 2e-4) * min(1.0, max(0.0, share))


LearningRateRule = ConstantLR | PowerLawLR | ComputeLR | KaplanLR | HoffmannLR


@dataclass(frozen=True)
class ConstantBatch:
    """The same number of sequences per step at every size."""

    sequences: int

    def __call__(self, params: ParamCount) -> int:
        """Sequences per step."""
        return self.sequences


@dataclass(frozen=True)
class PowerLawBatch:
    """`sequences * (N / reference_params) ** exponent`, rounded, N total parameters.

    Porian et al. 2024 (2406.19146) tune 160 sequences of 2,048 tokens, 108e6 and 2/3.
    """

    sequences: float
    reference_params: float
    exponent: float = 2 / 3

    def __call__(self, params: ParamCount) -> int:
        """Sequences per step."""
        return max(
            1, round(self.sequences * (params.total / self.reference_params) ** self.exponent)
        )


BatchRule = ConstantBatch | PowerLawBatch


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
