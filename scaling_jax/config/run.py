"""Frozen configuration of one training run, its canonical JSON and its identity.

Nothing here imports JAX: a configuration can be read, checked and hashed anywhere.
"""

import functools
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from scaling_jax.config.optimizer import DEFAULT_BALANCE_WEIGHT, OptimizerConfig
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.config.shape import Shape
from scaling_jax.config.strict import from_dict as from_dict
from scaling_jax.config.strict import require_one_of as require_one_of
from scaling_jax.config.strict import require_positive as require_positive
from scaling_jax.config.strict import settle_numbers, stored_fields
from scaling_jax.errors import InputError

Precision = Literal["float32", "bfloat16"]


RUN_ID_LENGTH = 16

# JAX drops the bits of a seed above these, so that two seeds would be one.
_SEEDS = 2**32


@dataclass(frozen=True)
class DataConfig:
    """What a run reads.

    Attributes:
        corpus: a corpus name, such as `embedded`, `stdlib`, `tfds:NAME`, `text:PATH`.
        tokenizer: a tokenizer name, such as `bytes`, `sentencepiece:PATH`, `hf:PATH`.
        repeat: allow more than one epoch; otherwise a run that needs more tokens than the
            corpus holds is refused.
    """

    corpus: str = "embedded"
    tokenizer: str = "bytes"
    repeat: bool = False

    def __post_init__(self) -> None:
        settle_numbers(self)


@dataclass(frozen=True)
class RunConfig:
    """One training run, completely specified; the same config is the same run everywhere.

    Attributes:
        shape: the transformer.
        data: corpus and tokenizer.
        optimizer: the optimizer and its schedule.
        batch_size: sequences of `shape.seq_len` tokens per step.
        steps: optimizer steps; the schedule ends at exactly this step.
        eval_tokens: held-out tokens the final loss is measured on.
        precision: compute precision; parameters and reductions stay float32.
        parameterization: how initialization and learning rates follow the model's size.
        seed: of initialization and data order.

    Raises:
        InputError: a count below 1, a seed of more than 32 bits, a precision that does not exist,
            a warm-up as long as the run or longer, a balance of experts in a model that has none,
            or another version.
    """

    shape: Shape
    data: DataConfig
    optimizer: OptimizerConfig
    batch_size: int
    steps: int
    eval_tokens: int
    precision: Precision = "float32"
    parameterization: Parameterization = STANDARD
    seed: int = 0
    version: int = field(default=1)

    def __post_init__(self) -> None:
        settle_numbers(self)
        for name in ("batch_size", "steps", "eval_tokens"):
            require_positive(name, getattr(self, name))
        require_one_of("precision", self.precision, Precision)
        if self.optimizer.warmup_steps >= self.steps:
            raise InputError(
                f"warmup_steps {self.optimizer.warmup_steps} must be below steps {self.steps}: "
                "shorten the warm-up or lengthen the run"
            )
        if self.shape.is_dense and self.optimizer.balance_weight != DEFAULT_BALANCE_WEIGHT:
            raise InputError(
                f"balance_weight {self.optimizer.balance_weight} means nothing in a dense model: "
                "leave it out, or set the shape's n_experts"
            )
        if not 0 <= self.seed < _SEEDS:
            raise InputError(f"seed {self.seed} must lie in [0, 2^32)")
        if self.version != 1:
            raise InputError(
                f"config version {self.version} is not 1, the only one this package reads: "
                "use the package version that wrote it"
            )

    @property
    def tokens(self) -> int:
        """Training tokens D of the whole run."""
        return self.steps * self.tokens_per_step

    @property
    def tokens_per_step(self) -> int:
        """Training tokens in one optimizer step."""
        return self.batch_size * self.shape.seq_len

    @functools.cached_property
    def run_id(self) -> str:
        """Hash of the canonical JSON: the run's name in every store."""
        return hash_of(self.to_json())

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, every field of `stored_fields` present."""
        return json.dumps(_as_dict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read what `to_json` wrote.

        Raises:
            InputError: not JSON, an unknown or missing field, or a value of the wrong type.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"not JSON ({error}): give a run's config.json") from error
        return from_dict(cls, data)


def _as_dict(config: Any) -> Any:
    """As `dataclasses.asdict`, without its copies of every value, which take most of its time."""
    fields = stored_fields(config)
    return {name: _as_dict(value) for name, value in fields.items()} if fields else config


def hash_of(canonical_json: str) -> str:
    """The identity of the run that this canonical JSON describes."""
    return hashlib.sha256(canonical_json.encode()).hexdigest()[:RUN_ID_LENGTH]


def descent_start(config: RunConfig) -> int:
    """The last update, counting from 0, at which the run has its peak learning rate.

    Under `wsd` runs that differ in their horizon alone are one up to and with that update.
    """
    start = config.optimizer.warmup_steps
    if config.optimizer.cooldown_share is None:
        return start
    return max(start, config.steps - 1 - round(config.optimizer.cooldown_share * config.steps))
