"""Frozen configuration of one training run, its canonical JSON and its identity.

Nothing here imports JAX: a configuration can be read, checked and hashed anywhere.
"""

import functools
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from scaling_jax.errors import InputError
from scaling_jax.parameterization import STANDARD, Parameterization
from scaling_jax.strict import from_dict as from_dict
from scaling_jax.strict import later, settle_numbers, stored_fields
from scaling_jax.strict import require_one_of as require_one_of
from scaling_jax.strict import require_positive as require_positive

Positions = Literal["rotary", "learned"]
Activation = Literal["gelu", "swiglu"]
Precision = Literal["float32", "bfloat16"]
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

# Fedus et al. 2022 (2101.03961): the weight that Switch Transformers are trained with, and the
# largest capacity of their table 1. They share rows among a batch; those of each sequence, as here,
# run out sooner.
DEFAULT_CAPACITY = 2.0
DEFAULT_BALANCE_WEIGHT = 0.01

RUN_ID_LENGTH = 16

# JAX drops the bits of a seed above these, so that two seeds would be one.
_SEEDS = 2**32
_LARGEST_FLOAT32 = 3.4028234e38


@dataclass(frozen=True)
class Shape:
    """Dimensions and variant switches of a decoder-only transformer.

    Attributes:
        n_layers: number of blocks.
        d_model: width of the residual stream.
        n_heads: number of query heads.
        d_ff: width of the feed-forward layer (of each of its two inputs for SwiGLU), or of one
            expert.
        vocab_size: number of token ids.
        seq_len: context length in tokens.
        head_dim: width of one head; `d_model / n_heads` when not given. Some published
            shapes have `n_heads * head_dim != d_model`, so it can be set apart.
        n_kv_heads: number of key/value heads (grouped queries); `n_heads` when not given.
        positions: rotary embeddings of queries and keys, or a learned table.
        activation: GELU, or SwiGLU (three matrices).
        tied_embedding: whether the output matrix is the embedding's transpose.
        qk_norm: whether queries and keys are RMS-normalized.
        n_experts: feed-forward layers that each layer's router chooses from; 1 is a dense model.
        experts_per_token: how many of them a token uses.
        capacity: rows that an expert has for a sequence, over those it needs if all get the same
            share; what comes when they are full is passed by.

    Raises:
        InputError: a size below 1, heads that do not divide the width, key/value heads that
            do not divide the heads, an odd head size under rotary positions, a variant that does
            not exist, more experts a token than there are, a capacity that is not positive, or
            either set for a dense model.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    vocab_size: int
    seq_len: int
    head_dim: int | None = None
    n_kv_heads: int | None = None
    positions: Positions = "rotary"
    activation: Activation = "gelu"
    tied_embedding: bool = True
    qk_norm: bool = False
    n_experts: int = later(1)
    experts_per_token: int = later(1)
    capacity: float = later(DEFAULT_CAPACITY)

    def __post_init__(self) -> None:
        settle_numbers(self)
        for name in ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len"):
            require_positive(name, getattr(self, name))
        _check_experts(self.n_experts, self.experts_per_token, self.capacity)
        require_one_of("positions", self.positions, Positions)
        require_one_of("activation", self.activation, Activation)
        _fill(self, "head_dim", self._default_head_dim())
        _fill(self, "n_kv_heads", self.n_heads)
        if self.n_heads % self.kv_heads:
            raise InputError(
                f"n_kv_heads {self.kv_heads} does not divide n_heads {self.n_heads}: choose one of "
                f"{_divisors(self.n_heads)}"
            )
        if self.positions == "rotary" and self.head_size % 2:
            raise InputError(
                f"head_dim {self.head_size} is odd, but rotary positions turn pairs of channels: "
                'choose an even head_dim or positions "learned"'
            )

    def _default_head_dim(self) -> int:
        if self.head_dim is None and self.d_model % self.n_heads:
            raise InputError(
                f"n_heads {self.n_heads} does not divide d_model {self.d_model}: choose one of "
                f"{_divisors(self.d_model)}, or set head_dim"
            )
        return self.d_model // self.n_heads

    @property
    def head_size(self) -> int:
        """Width of one head (`head_dim`, always known after construction)."""
        assert self.head_dim is not None
        return self.head_dim

    @property
    def kv_heads(self) -> int:
        """Number of key/value heads (`n_kv_heads`, always known after construction)."""
        assert self.n_kv_heads is not None
        return self.n_kv_heads

    @property
    def d_attn(self) -> int:
        """Width of all query heads together."""
        return self.n_heads * self.head_size

    @property
    def d_kv(self) -> int:
        """Width of all key (or value) heads together."""
        return self.kv_heads * self.head_size

    @property
    def n_inputs(self) -> int:
        """Inputs of the feed-forward layer's non-linearity, with a matrix each: SwiGLU has two."""
        return 2 if self.activation == "swiglu" else 1

    @property
    def is_dense(self) -> bool:
        """Whether every token uses every parameter: there are no experts."""
        return self.n_experts == 1

    def expert_rows(self, seq_len: int) -> int:
        """Rows that each expert has for a sequence: `capacity` times an even share, rounded up."""
        share = self.capacity * seq_len * self.experts_per_token / self.n_experts
        return min(seq_len, math.ceil(share))


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


def _check_experts(n_experts: int, experts_per_token: int, capacity: float) -> None:
    """Refuse experts that cannot be (`InputError`), as `Shape` does."""
    require_positive("n_experts", n_experts)
    require_positive("experts_per_token", experts_per_token)
    if experts_per_token > n_experts:
        raise InputError(
            f"experts_per_token {experts_per_token} is more than n_experts {n_experts}: choose at "
            f"most {n_experts}"
        )
    if not 0 < capacity < math.inf:
        raise InputError(f"capacity {capacity} must be positive and finite")
    if n_experts == 1 and capacity != DEFAULT_CAPACITY:
        raise InputError(
            f"capacity {capacity} means nothing in a dense model: leave it out, or set n_experts"
        )


def _fill(shape: Shape, name: str, default: int) -> None:
    if getattr(shape, name) is None:
        object.__setattr__(shape, name, default)
    require_positive(name, getattr(shape, name))


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
