"""Rules of a recipe: learning rate, batch size and warm-up as functions of a run's size.

A rule is any function of a shape and a number of training tokens. A learning-rate rule with a
parameter `batch_size` is also given the sequences per step that the run is trained with, which can
be fewer than the batch rule's: see `Recipe.at_budget`. The rules of the literature are in
`scaling_jax.study.plan.published_rules`. N counts the active parameters, which one token uses:
all parameters of a dense model.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.errors import InputError


@runtime_checkable
class LearningRateRule(Protocol):
    """Any function that gives the peak learning rate of a shape on a number of tokens."""

    def __call__(self, shape: Shape, tokens: float, /) -> float:
        """Peak learning rate."""


@runtime_checkable
class BatchRule(Protocol):
    """Any function that gives the sequences per step of a shape on a number of tokens."""

    def __call__(self, shape: Shape, tokens: float, /) -> int:
        """Sequences per step."""


@dataclass(frozen=True)
class ConstantLR:
    """The same peak learning rate at every size.

    >>> ConstantLR(3e-3)
    ConstantLR(value=0.003)
    """

    value: float

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        return self.value


@dataclass(frozen=True)
class PowerLawLR:
    """Peak learning rate `value * (N / reference_params) ** exponent`, N active parameters.

    >>> rule = PowerLawLR(value=6e-3, reference_params=60e3)
    >>> rule.exponent
    -0.3333333333333333
    """

    value: float
    reference_params: float
    exponent: float = -1 / 3

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        params = count_params(shape).active
        return float(self.value * (params / self.reference_params) ** self.exponent)


@dataclass(frozen=True)
class ComputeLR:
    """Peak learning rate `value * (C / reference_flops) ** exponent`, C = 6 N D, N active.

    The form is that of `DeepSeekLR`, whose constants assume batches that grow with compute. At a
    fixed batch the best rate falls faster.

    >>> rule = ComputeLR(value=1e-3, reference_flops=1e18)
    """

    value: float
    reference_flops: float
    exponent: float = -0.125

    def __call__(self, shape: Shape, tokens: float) -> float:
        """Peak learning rate."""
        flops = 6 * count_params(shape).active * tokens
        return float(self.value * (flops / self.reference_flops) ** self.exponent)


@dataclass(frozen=True)
class ScaledByBatch:
    """Peak learning rate of another rule, times `(batch / sequences) ** exponent`.

    Far below the critical batch, Adam's best rate grows with the square root of the batch (Malladi
    et al. 2022, 2205.10287).

    >>> rule = ScaledByBatch(ConstantLR(4e-3), sequences=16)

    Attributes:
        rule: gives the peak learning rate at a batch of `sequences`.
        sequences: sequences per step for which the other rule was tuned.
        exponent: 0.5 for Adam; 1 for gradient descent.
    """

    rule: LearningRateRule
    sequences: int
    exponent: float = 0.5

    def __call__(self, shape: Shape, tokens: float, batch_size: int | None = None) -> float:
        """Peak learning rate at a batch of `batch_size` sequences, by default the other rule's."""
        ratio = 1.0 if batch_size is None else batch_size / self.sequences
        return float(self.rule(shape, tokens) * ratio**self.exponent)


@dataclass(frozen=True)
class TunedLR:
    """Peak learning rate that `scaling-jax tune` found, a power of parameters, tokens and batch.

    `value * (N / reference_params) ** params_exponent * (D / reference_tokens) **
    tokens_exponent * (B / reference_batch) ** batch_exponent`, N active parameters, D tokens of
    the run, B sequences per step.

    >>> rule = TunedLR(0.02, 2e4, 1e6, 8, -0.4, -0.3, 0.5)
    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=256, seq_len=128).nearest(2e4)
    >>> round(rule(shape, 8e6, 8) / rule(shape, 1e6, 8), 3)
    0.536
    """

    value: float
    reference_params: float
    reference_tokens: float
    reference_batch: float
    params_exponent: float
    tokens_exponent: float
    batch_exponent: float

    def __call__(self, shape: Shape, tokens: float, batch_size: int | None = None) -> float:
        """Peak learning rate at a batch of `batch_size` sequences, by default `reference_batch`."""
        params = count_params(shape).active / self.reference_params
        sizes = params**self.params_exponent * (tokens / self.reference_tokens) ** (
            self.tokens_exponent
        )
        sequences = self.reference_batch if batch_size is None else batch_size
        batch = (sequences / self.reference_batch) ** self.batch_exponent
        return float(self.value * sizes * batch)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "TunedLR":
        """The rule in a JSON file that `scaling-jax tune` wrote.

        Raises:
            InputError: a file that cannot be read, or that holds no such rule.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise InputError(f"cannot read {path}: {reason}; give tune's rule.json") from error
        stored = parsed_json(text, str(path))
        fields = dict(stored) if isinstance(stored, dict) else {}
        if fields.pop("is", None) != cls.__name__:
            raise InputError(f"{path} holds no {cls.__name__}: give the rule.json that tune wrote")
        return from_dict(cls, fields, str(path))


@dataclass(frozen=True)
class ConstantBatch:
    """The same number of sequences per step at every size.

    >>> ConstantBatch(16)
    ConstantBatch(sequences=16)
    """

    sequences: int

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        return self.sequences


@dataclass(frozen=True)
class PowerLawBatch:
    """Sequences per step: `sequences * (N / reference_params) ** exponent`, rounded, N active.

    >>> rule = PowerLawBatch(sequences=16, reference_params=60e3)
    """

    sequences: float
    reference_params: float
    exponent: float = 2 / 3

    def __call__(self, shape: Shape, tokens: float) -> int:
        """Sequences per step."""
        params = count_params(shape).active
        sequences: float = self.sequences * (params / self.reference_params) ** self.exponent
        return max(1, round(sequences))


@dataclass(frozen=True)
class Warmup:
    """Warm-up as a share of the horizon, between a floor and a ceiling in steps.

    At most half of a run warms up, even where that is below the floor.

    >>> [Warmup(share=0.05, floor=10, ceiling=2000)(steps) for steps in (12, 100, 1000, 100_000)]
    [6, 10, 50, 2000]
    """

    share: float = 0.05
    floor: int = 10
    ceiling: int = 2000

    def __call__(self, steps: int) -> int:
        """Number of warm-up steps in a run of `steps` steps."""
        return min(max(round(self.share * steps), self.floor), self.ceiling, steps // 2)
