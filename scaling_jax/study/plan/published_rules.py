"""Published rules for the learning rate and the batch size, each with where it was fitted.

Beyond that range `scaling-jax plan` warns. The rates are AdamW's; `adafactor` and `muon` are
scaled so that they suit them too. Under muP and CompleteP a learning rate is that of the base
size, so a rule that falls with the model's size would count the size twice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig, Shape
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Fitted:
    """Where the constants of a published rule come from.

    Attributes:
        source: the paper.
        quantity: what they were fitted over: parameters N or compute C, as the rule counts it.
        low, high: least and greatest value.
    """

    source: str
    quantity: Literal["N", "C"]
    low: float
    high: float


@dataclass(frozen=True)
class KaplanLR:
    """`0.003239 - 0.0001395 ln N`, N non-embedding (Kaplan et al. 2020, appendix D.6).

    Meant for N up to 1e10; it falls to zero at about 1.2e10.
    """

    fitted: ClassVar[Fitted] = Fitted("Kaplan et al. 2020", "N", 768, 1.5e9)

    def size(self, shape: Shape, tokens: float) -> float:
        """N as the rule counts it."""
        return count_params(shape).non_embedding

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate.

        Raises:
            InputError: a model so large that the rule is no longer positive.
        """
        params = self.size(shape, tokens)
        lr = 0.003239 - 0.0001395 * math.log(params)
        if lr <= 0:
            raise InputError(
                f"Kaplan's learning-rate rule gives {lr:.2g} at {params} non-embedding parameters: "
                "it holds below 1e10; use another rule"
            )
        return lr


@dataclass(frozen=True)
class HoffmannLR:
    """From 2e-4 for 70M parameters down to 1.25e-4 for 16B, linear in log N.

    Hoffmann et al. 2022 give the two ends ("2e-4 for the smallest to 1.25e-4 for the largest
    models"); the line between them is our reading. Constant beyond the ends.
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        params = count_params(shape).total
        share = math.log(params / 70e6) / math.log(16.183e9 / 70e6)
        return 2e-4 + (1.25e-4 - 2e-4) * min(1.0, max(0.0, share))


class _Porian:
    """What `PorianLR` and `PorianBatch` share: N with the output matrix, the embedding not."""

    fitted: ClassVar[Fitted] = Fitted("Porian et al. 2024", "N", 2.5e7, 1.1e8)

    def size(self, shape: Shape, tokens: float) -> float:
        """N as the rule counts it."""
        return count_params(shape).non_embedding + shape.vocab_size * shape.d_model


@dataclass(frozen=True)
class PorianLR(_Porian):
    """`0.0047 (N / 108e6)^(-1/3)` (Porian et al. 2024, 2406.19146), N with the output matrix.

    Tuned together with `PorianBatch`, and with a `beta2` of at least 0.99 for small batches.
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        return 0.0047 * (self.size(shape, tokens) / 108e6) ** (-1 / 3)


class _StepLaw:
    """What `StepLawLR` and `StepLawBatch` share: N without embeddings."""

    fitted: ClassVar[Fitted] = Fitted("Li et al. 2025 (Step Law)", "N", 2.1e8, 1.1e9)

    def size(self, shape: Shape, tokens: float) -> float:
        """N as the rule counts it."""
        return count_params(shape).non_embedding


@dataclass(frozen=True)
class StepLawLR(_StepLaw):
    """`1.797 N^-0.7129 D^0.3075`, N non-embedding (Step Law: Li et al. 2025, 2503.04715).

    The dense runs that they published have 2.1e8 to 1.1e9 parameters and 4e9 to 1e11 tokens.
    To be used with `StepLawBatch`.
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        return 1.797 * self.size(shape, tokens) ** -0.7129 * tokens**0.3075


class _DeepSeek:
    """What `DeepSeekLR` and `DeepSeekBatch` share: C without the vocabulary, with the scores."""

    fitted: ClassVar[Fitted] = Fitted("DeepSeek LLM 2024", "C", 1e17, 2e19)

    def size(self, shape: Shape, tokens: float) -> float:
        """C as the rule counts it: `72 n_layers d² + 12 n_layers d seq_len` FLOPs per token."""
        counts = count_params(shape)
        scores = 12 * shape.n_layers * shape.d_attn * shape.seq_len
        return (6 * (counts.attention + counts.feed_forward) + scores) * tokens


@dataclass(frozen=True)
class DeepSeekLR(_DeepSeek):
    """`0.3118 C^-0.1250`, C without the vocabulary (DeepSeek LLM 2024, 2401.02954, section 3.1).

    To be used with `DeepSeekBatch`.
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        return 0.3118 * self.size(shape, tokens) ** -0.1250


@dataclass(frozen=True)
class PorianBatch(_Porian):
    """`160 (N / 108e6)^(2/3)` sequences of 2,048 tokens (Porian et al. 2024, 2406.19146)."""

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        return _sequences(160 * 2048 * (self.size(shape, tokens) / 108e6) ** (2 / 3), shape)


@dataclass(frozen=True)
class StepLawBatch(_StepLaw):
    """`0.581 D^0.5709` tokens, whatever the model (Step Law: Li et al. 2025, 2503.04715)."""

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        return _sequences(0.581 * tokens**0.5709, shape)


@dataclass(frozen=True)
class DeepSeekBatch(_DeepSeek):
    """`0.2920 C^0.3271` tokens (DeepSeek LLM 2024, 2401.02954, section 3.1)."""

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        return _sequences(0.2920 * self.size(shape, tokens) ** 0.3271, shape)


def _sequences(batch_tokens: float, shape: Shape) -> int:
    return max(1, round(batch_tokens / shape.seq_len))


def extrapolated(rule: Any, runs: Sequence[RunConfig]) -> str:
    """In a sentence, how far `runs` lie outside what a rule was fitted over; empty if they do not.

    Rules that are not from a paper have nothing to be outside of.
    """
    fitted = getattr(rule, "fitted", None)
    if not fitted or not runs:
        return ""
    sizes = [rule.size(run.shape, run.tokens) for run in runs]
    outside = [size for size in sizes if not fitted.low <= size <= fitted.high]
    if not outside:
        return ""
    return (
        f"{type(rule).__name__} was fitted over {fitted.quantity} from {fitted.low:.2g} to "
        f"{fitted.high:.2g} ({fitted.source}), but {len(outside)} of {len(runs)} runs lie outside, "
        f"at {min(outside):.2g} to {max(outside):.2g}: tune there, or say that it is extrapolated"
    )
