"""Frozen configuration of one training run, its canonical JSON and its identity.

Nothing here imports JAX: a configuration can be read, checked and hashed anywhere.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from scaling_jax.errors import InputError

Positions = Literal["rotary", "learned"]
Activation = Literal["gelu", "swiglu"]
Precision = Literal["float32", "bfloat16"]

RUN_ID_LENGTH = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """Dimensions and variant switches of a decoder-only transformer.

    Attributes:
        n_layers: number of blocks.
        d_model: width of the residual stream.
        n_heads: number of query heads.
        d_ff: width of the feed-forward layer (of each of its two inputs for SwiGLU).
        vocab_size: number of token ids.
        seq_len: context length in tokens.
        head_dim: width of one head; `d_model / n_heads` when not given. Some published
            shapes have `n_heads * head_dim != d_model`, so it can be set apart.
        n_kv_heads: number of key/value heads (grouped queries); `n_heads` when not given.
        positions: rotary embeddings of queries and keys, or a learned table.
        activation: GELU, or SwiGLU (three matrices).
        tied_embedding: whether the output matrix is the embedding's transpose.
        qk_norm: whether queries and keys are RMS-normalized.

    Raises:
        InputError: a size below 1, heads that do not divide the width, key/value heads that
            do not divide the heads, an odd head size under rotary positions, or a variant that
            does not exist.
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

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len"):
            require_positive(name, getattr(self, name))
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


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW under a linear warm-up and a cosine to the run's last step.

    Attributes:
        peak_lr: learning rate at the end of the warm-up.
        warmup_steps: steps of linear warm-up.
        final_lr_fraction: learning rate of the last step over `peak_lr` (Hoffmann et al. 2022
            decay tenfold).
        beta1, beta2, eps: Adam's moments and its denominator's floor.
        weight_decay: decoupled decay of matrices, per unit of learning rate.
        clip_norm: ceiling of the gradient's global norm.

    Raises:
        InputError: a value outside its range; the message says which.
    """

    peak_lr: float
    warmup_steps: int
    final_lr_fraction: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if f.type is float:
                # Equal numbers must have equal JSON, or the same run has two names.
                object.__setattr__(self, f.name, float(getattr(self, f.name)))
        for name in ("peak_lr", "eps", "clip_norm"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} {value} must be positive and finite")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name} {value} must be at least 0 and below 1")
        if not 0 <= self.final_lr_fraction <= 1:
            raise InputError(f"final_lr_fraction {self.final_lr_fraction} must lie in [0, 1]")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay {self.weight_decay} must be finite and not negative")
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps {self.warmup_steps} must not be negative")


@dataclass(frozen=True)
class RunConfig:
    """One training run, completely specified; the same config is the same run everywhere.

    Attributes:
        shape: the transformer.
        data: corpus and tokenizer.
        optimizer: AdamW and its schedule.
        batch_size: sequences of `shape.seq_len` tokens per step.
        steps: optimizer steps; the schedule ends at exactly this step.
        eval_tokens: held-out tokens the final loss is measured on.
        precision: compute precision; parameters and reductions stay float32.
        seed: of initialization and data order.

    Raises:
        InputError: a count below 1, a negative seed, a precision that does not exist, a warm-up
            as long as the run or longer, or another version.
    """

    shape: Shape
    data: DataConfig
    optimizer: OptimizerConfig
    batch_size: int
    steps: int
    eval_tokens: int
    precision: Precision = "float32"
    seed: int = 0
    version: int = field(default=1)

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "eval_tokens"):
            require_positive(name, getattr(self, name))
        require_one_of("precision", self.precision, Precision)
        if self.optimizer.warmup_steps >= self.steps:
            raise InputError(
                f"warmup_steps {self.optimizer.warmup_steps} must be below steps {self.steps}: "
                "shorten the warm-up or lengthen the run"
            )
        if self.seed < 0:
            raise InputError(f"seed {self.seed} must not be negative")
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

    @property
    def run_id(self) -> str:
        """Hash of the canonical JSON: the run's name in every store."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:RUN_ID_LENGTH]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, every field present."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read what `to_json` wrote.

        Raises:
            InputError: not JSON, an unknown or missing field, or a value of the wrong type.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"not JSON: {error}") from error
        return from_dict(cls, data)


def from_dict(cls: type[T], data: Any, path: str = "") -> T:
    """Build the dataclass `cls` from nested mappings, strictly.

    Raises:
        InputError: naming the field's path, and the nearest field name for an unknown one.
    """
    where = path or cls.__name__
    if not isinstance(data, Mapping):
        raise InputError(f"{where} must be an object, not {data!r}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in data:
        if key not in fields:
            raise InputError(f"{where} has no field {key!r}{_suggestion(key, list(fields))}")
    values = {}
    for name, f in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{where}.{name}")
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise InputError(f"{where} lacks the field {name!r}: add it")
    return cls(**values)


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Check `value` against a field's type and build nested dataclasses."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path)  # type: ignore[arg-type]
    if typing.get_origin(hint) is Literal:
        require_one_of(path, value, hint)
        return value
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(t for t in typing.get_args(hint) if t is not types.NoneType)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{path} must be {hint.__name__}, not {value!r}")
    return value


def _suggestion(key: Any, allowed: list[str]) -> str:
    near = difflib.get_close_matches(str(key), [str(name) for name in allowed], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f" (it has {', '.join(map(str, allowed))}){hint}"


def require_positive(name: str, value: int) -> None:
    """Refuse a count below 1 (`InputError`)."""
    if value < 1:
        raise InputError(f"{name} {value} must be at least 1")


def require_one_of(name: str, value: Any, literal: Any) -> None:
    """Refuse what is not one of a `Literal`'s values (`InputError`), with the nearest of them."""
    allowed = typing.get_args(literal)
    if value not in allowed:
        raise InputError(f"{name} is {value!r}{_suggestion(value, list(allowed))}")


def _fill(shape: Shape, name: str, default: int) -> None:
    if getattr(shape, name) is None:
        object.__setattr__(shape, name, default)
    require_positive(name, getattr(shape, name))


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
