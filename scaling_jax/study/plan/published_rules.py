"""Published rules for the learning rate and the batch size, each with the range it was fitted over.

`scaling-jax plan` warns of runs outside that range. The rates are for AdamW; updates of `adafactor`
and `muon` are scaled so that the same rates suit them. Under muP and CompleteP the learning rate
is that of the base size, so a rule that falls with the model's size would count the size twice.
The rules were fitted to dense models. For a mixture of experts N and C count the experts that one
token uses, so that a mixture gets the values of the dense model that does the same work on a token.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.hyperparameters import (
    BATCH_SIZE,
    BATCH_SIZE_FLOPS,
    LEARNING_RATE,
    LEARNING_RATE_FLOPS,
    PORIAN_BATCH_TOKENS,
    PORIAN_LEARNING_RATE,
    PORIAN_PARAMS,
)
from scaling_jax.study.plan.rules import ScaledByBatch


@dataclass(frozen=True)
class Fitted:
    """The range of runs that the constants of a published rule were fitted to.

    Attributes:
        source: the paper.
        quantity: what the range is of: parameters N or compute C, as the rule counts them.
        low, high: least and greatest value.
    """

    source: str
    quantity: Literal["N", "C"]
    low: float
    high: float


@dataclass(frozen=True)
class KaplanLR:
    """Peak learning rate `0.003239 - 0.0001395 ln N` (Kaplan et al. 2020, appendix D.6).

    N is non-embedding. The rule is meant for N up to 1e10; it falls to zero at about 1.2e10.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> f"{KaplanLR()(shape, 2e9):.3g}"
    '0.000704'
    """

    fitted: ClassVar[Fitted] = Fitted("Kaplan et al. 2020", "N", 768, 1.5e9)

    def size(self, shape: Shape, tokens: float) -> float:
        """Number of parameters N, as the rule counts it."""
        return count_params(shape).active_non_embedding

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
    """Peak learning rate from 2e-4 at 70M parameters down to 1.25e-4 at 16B, linear in log N.

    Hoffmann et al. 2022 give the two ends ("2e-4 for the smallest to 1.25e-4 for the largest
    models"); the line between them is this package's reading. The rate is constant beyond the
    ends.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> f"{HoffmannLR()(shape, 2e9):.3g}"
    '0.000195'
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        params = count_params(shape).active
        share = math.log(params / 70e6) / math.log(16.183e9 / 70e6)
        return 2e-4 + (1.25e-4 - 2e-4) * min(1.0, max(0.0, share))


class _Porian:
    """Base of `PorianLR` and `PorianBatch`: N counts the output matrix but not the embedding."""

    fitted: ClassVar[Fitted] = Fitted("Porian et al. 2024", "N", 2.5e7, 1.1e8)

    def size(self, shape: Shape, tokens: float) -> float:
        """Number of parameters N, as the rule counts it."""
        return count_params(shape).active_non_embedding + shape.vocab_size * shape.d_model


@dataclass(frozen=True)
class PorianLR(_Porian):
    """Peak learning rate `0.0047 (N / 108e6)^(-1/3)` (Porian et al. 2024, 2406.19146).

    N counts the output matrix but not the embedding. The rule was tuned together with
    `PorianBatch`, and with a `beta2` of at least 0.99 for small batches.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> f"{PorianLR()(shape, 2e9):.3g}"
    '0.00478'
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        ratio = self.size(shape, tokens) / PORIAN_PARAMS
        return float(PORIAN_LEARNING_RATE * ratio ** (-1 / 3))


class _StepLaw:
    """Base of `StepLawLR` and `StepLawBatch`: N counts no embeddings."""

    fitted: ClassVar[Fitted] = Fitted("Li et al. 2025 (Step Law)", "N", 2.1e8, 1.1e9)

    def size(self, shape: Shape, tokens: float) -> float:
        """Number of parameters N, as the rule counts it."""
        return count_params(shape).active_non_embedding


@dataclass(frozen=True)
class StepLawLR(_StepLaw):
    """Peak learning rate `1.797 N^-0.7129 D^0.3075` (Step Law: Li et al. 2025, 2503.04715).

    N is non-embedding. The published dense runs have 2.1e8 to 1.1e9 parameters and 4e9 to 1e11
    tokens. Use the rule together with `StepLawBatch`.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> f"{StepLawLR()(shape, 2e9):.3g}"
    '0.00308'
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        law = LEARNING_RATE.published["li-2025"]
        return float(law["eta"] * self.size(shape, tokens) ** law["n"] * tokens ** law["d"])


class _DeepSeek:
    """Base of `DeepSeekLR` and `DeepSeekBatch`: C counts attention scores but no vocabulary."""

    fitted: ClassVar[Fitted] = Fitted("DeepSeek LLM 2024", "C", 1e17, 2e19)

    def size(self, shape: Shape, tokens: float) -> float:
        """Compute C as the rule counts it: `72 n_layers d² + 12 n_layers d seq_len` a token."""
        counts = count_params(shape)
        scores = 12 * shape.n_layers * shape.d_attn * shape.seq_len
        products = counts.attention + counts.feed_forward + counts.experts
        return (6 * products + scores) * tokens


@dataclass(frozen=True)
class DeepSeekLR(_DeepSeek):
    """Peak learning rate `0.3118 C^-0.1250` (DeepSeek LLM 2024, 2401.02954, section 3.1).

    C counts attention scores but no vocabulary. Use the rule together with `DeepSeekBatch`.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> f"{DeepSeekLR()(shape, 2e9):.3g}"
    '0.00169'
    """

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        law = LEARNING_RATE_FLOPS.published["deepseek-2024"]
        return float(law["c"] * self.size(shape, tokens) ** law["p"])


@dataclass(frozen=True)
class PorianBatch(_Porian):
    """Batch of `160 (N / 108e6)^(2/3)` sequences of 2,048 tokens (Porian et al. 2024, 2406.19146).

    N counts the output matrix but not the embedding.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> PorianBatch()(shape, 2e9)
    154
    """

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        ratio = self.size(shape, tokens) / PORIAN_PARAMS
        return _sequences(PORIAN_BATCH_TOKENS * ratio ** (2 / 3), shape)


@dataclass(frozen=True)
class StepLawBatch(_StepLaw):
    """Batch of `0.581 D^0.5709` tokens at any size (Step Law: Li et al. 2025, 2503.04715).

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> StepLawBatch()(shape, 2e9)
    58
    """

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        law = BATCH_SIZE.published["li-2025"]
        return _sequences(law["b"] * tokens ** law["d"], shape)


@dataclass(frozen=True)
class DeepSeekBatch(_DeepSeek):
    """Batch of `0.2920 C^0.3271` tokens (DeepSeek LLM 2024, 2401.02954, section 3.1).

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(1e8)
    >>> DeepSeekBatch()(shape, 2e9)
    121
    """

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        law = BATCH_SIZE_FLOPS.published["deepseek-2024"]
        return _sequences(law["c"] * self.size(shape, tokens) ** law["p"], shape)


def _sequences(batch_tokens: float, shape: Shape) -> int:
    return max(1, round(batch_tokens / shape.seq_len))


def extrapolated(rule: Any, runs: Sequence[RunConfig]) -> str:
    """A warning that `runs` lie outside the range that a rule was fitted over, or an empty text.

    The text is empty where all runs lie inside the range, and for rules that are not from a paper.
    """
    rule = rule.rule if isinstance(rule, ScaledByBatch) else rule
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
