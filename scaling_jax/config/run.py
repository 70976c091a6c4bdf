"""Configuration of one training run, its canonical JSON and its run id."""

import functools
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scaling_jax.config.batch_ramp import BatchRamp
from scaling_jax.config.data import DataConfig
from scaling_jax.config.dropout import NO_DROPOUT, Dropout
from scaling_jax.config.evaluation import (
    CURVE_TOKENS,
    EvalSet,
    LogSpaced,
    check_evaluation,
    evaluation_steps,
    without_default_share,
)
from scaling_jax.config.noise_scale import NoiseScale
from scaling_jax.config.optimizer import DEFAULT_BALANCE_WEIGHT, OptimizerConfig
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.config.shape import Shape
from scaling_jax.config.start import Start
from scaling_jax.config.strict import (
    from_dict,
    later,
    parsed_json,
    require_one_of,
    require_positive,
    settle_numbers,
    stored_fields,
    whole_number,
)
from scaling_jax.errors import InputError
from scaling_jax.formatting import Readable

# Under `float32_fast` an accelerator may round the operands of matrix products: to TensorFloat-32
# on an NVIDIA GPU, to bfloat16 on a TPU.
Precision = Literal["float32", "bfloat16", "float32_fast"]

RUN_ID_LENGTH = 16

# Optimizers that treat all parameters alike.
_OF_ANY_PARAMETER = ("adamw", "adam")

# JAX ignores the bits of a seed above the 32nd, so that two larger seeds could be the same run.
_SEEDS = 2**32


@dataclass(frozen=True)
class RunConfig(Readable):
    """Everything that determines the result of one training run.

    Two equal configurations are the same run, with the same `run_id`, on every machine.

    >>> import scaling_jax as sj
    >>> from scaling_jax.config import DataConfig, OptimizerConfig
    >>> shape = sj.Shape(n_layers=2, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=128)
    >>> optimizer = OptimizerConfig(peak_lr=1e-2, warmup_steps=10)
    >>> config = sj.RunConfig(
    ...     shape, DataConfig(), optimizer, batch_size=8, steps=100, eval_tokens=4096
    ... )
    >>> config.tokens
    102400
    >>> config.run_id
    '86bf058030ec4ceb'
    >>> sj.RunConfig.from_json(config.to_json()) == config
    True

    Attributes:
        shape: the transformer.
        data: corpus and tokenizer.
        optimizer: the optimizer and its schedule.
        batch_size: sequences of `shape.seq_len` tokens per step.
        steps: optimizer steps; the schedule ends at exactly this step. A step has one update,
            except under `batch_ramp`.
        eval_tokens: held-out tokens on which the final loss is measured; the most of them under
            `eval_at_most`.
        precision: number format of the matrix products; parameters and reductions are float32.
            `float32` is float32 on every platform. `float32_fast` lets an accelerator round the
            factors of products, to TensorFloat-32 or bfloat16; on a CPU it is the same.
        parameterization: how initialization and learning rates depend on the model's size.
        seed: random seed of the initialization and of the order of the data.
        version: version of this format.
        eval_every: tokens between evaluations along the run, or `LogSpaced` points; by default
            the run is evaluated only at its end.
        curve_tokens: held-out tokens of each evaluation before the end, by default what the share
            of `LogSpaced` pays for; without a share 8,192, or `eval_tokens` if fewer. They are
            windows evenly spread over those of the final evaluation.
        evals: further held-out sets, on `eval_tokens` tokens each.
        dropout: shares of values that training sets to zero.
        batch_ramp: smaller batches in the first part of the run; by default none.
        eval_details: whether the run stores, for every held-out set at its end, the mean loss at
            each position and of each window.
        noise_scale: when the gradient noise scale is measured, and on how much text; by default
            never.
        start: the checkpoint of another run that the run starts from. Steps and tokens count from
            there. By default the run starts from parameters that its seed draws.
        eval_at_most: whether a held-out text of fewer than `eval_tokens` tokens is measured whole.
            Otherwise it is an error.

    Raises:
        InputError: a count below 1, a seed of more than 32 bits, an unknown precision, a warm-up
            that is not shorter than the run, `balance_weight` set for a dense model, a
            parameterization, dropout or an optimizer that the architecture does not have, another
            version, or a reason of `check_evaluation` or `BatchRamp.check`.
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
    eval_every: int | LogSpaced | None = later(None)
    curve_tokens: int | None = later(None)
    evals: tuple[EvalSet, ...] = later(())
    dropout: Dropout = later(NO_DROPOUT)
    batch_ramp: BatchRamp | None = later(None)
    eval_details: bool = later(False)
    noise_scale: NoiseScale | None = later(None)
    start: Start | None = later(None)
    eval_at_most: bool = later(False)

    def __post_init__(self) -> None:
        settle_numbers(self)
        object.__setattr__(self, "evals", tuple(self.evals))
        if not isinstance(self.eval_every, LogSpaced | None):
            every = whole_number("eval_every", self.eval_every)
            object.__setattr__(self, "eval_every", every)
        if self.curve_tokens is not None:
            object.__setattr__(self, "eval_every", without_default_share(self.eval_every))
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
                f"balance_weight {self.optimizer.balance_weight} has no effect in a dense model: "
                "leave it out, or set the shape's n_experts"
            )
        if self.shape.module is not None and self.optimizer.name not in _OF_ANY_PARAMETER:
            raise InputError(
                f"optimizer {self.optimizer.name!r} needs to know hidden matrices, which your own "
                f"module {self.shape.module.name} does not name: use "
                f"{' or '.join(_OF_ANY_PARAMETER)}"
            )
        rule, name = self.parameterization.rule, self.shape.architecture_name
        if self.shape.architecture != "transformer" and self.dropout != NO_DROPOUT:
            raise InputError(
                f"dropout is defined for the transformer, not for {name!r}: leave it out"
            )
        if self.shape.architecture != "transformer" and rule != STANDARD.rule:
            raise InputError(
                f"parameterization {rule!r} is defined for the transformer, "
                f"not for {name!r}: use the standard one"
            )
        check_evaluation(
            self.eval_every, self.curve_tokens, self.evals, self.tokens, self.eval_tokens
        )
        if self.batch_ramp is not None:
            self.batch_ramp.check(self.batch_size)
        if self.noise_scale is not None:
            self.noise_scale.check(self.tokens)
        if not 0 <= self.seed < _SEEDS:
            raise InputError(f"seed {self.seed} must lie in [0, 2^32)")
        if self.version != 1:
            raise InputError(
                f"config version {self.version} is not 1, the only one this package can read: "
                "use the package version that wrote it"
            )

    @property
    def tokens(self) -> int:
        """Training tokens of the whole run, D in scaling laws."""
        return self.steps * self.tokens_per_step

    @property
    def tokens_per_step(self) -> int:
        """Training tokens in one optimizer step."""
        return self.batch_size * self.shape.seq_len

    @property
    def smallest_batch(self) -> int:
        """The fewest sequences of an optimizer update; below `batch_size` under a batch ramp."""
        return (
            self.batch_size
            if self.batch_ramp is None
            else self.batch_size // self.batch_ramp.factor
        )

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """The steps, in ascending order, after which the run is evaluated; the last is its end."""
        return evaluation_steps(self.eval_every, self.steps, self.tokens_per_step)

    @property
    def n_held_out_windows(self) -> int:
        """Number of windows of each held-out set at the end of the run, unless it has fewer."""
        return -(-self.eval_tokens // self.shape.seq_len)

    @property
    def n_held_out_sets(self) -> int:
        """Number of held-out sets of text: that of the run's own corpus, and further ones."""
        return 1 + sum(not each.is_task for each in self.evals)

    @property
    def n_curve_windows(self) -> int:
        """Number of windows of each held-out set at a point before the end of the run."""
        seq_len, n = self.shape.seq_len, self.n_held_out_windows
        share = self.eval_every.share if isinstance(self.eval_every, LogSpaced) else None
        if share is None:
            return min(n, -(-(self.curve_tokens or CURVE_TOKENS) // seq_len))
        n_points = max(1, len(self.evaluation_steps) - 1) * self.n_held_out_sets
        # A step of training takes the FLOPs of three forward passes.
        return max(1, min(n, int(3 * share * self.tokens / n_points) // seq_len))

    @property
    def noise_steps(self) -> tuple[int, ...]:
        """The steps, in ascending order, after which the gradient noise is measured."""
        if self.noise_scale is None:
            return ()
        return self.noise_scale.steps(self.steps, self.tokens_per_step)

    @property
    def keeps_evaluations(self) -> bool:
        """Whether the run has more held-out losses than one at its end."""
        return self.eval_every is not None or bool(self.evals)

    @functools.cached_property
    def run_id(self) -> str:
        """Hash of the canonical JSON, which names the run in every store."""
        return hash_of(self.to_json())

    def to_json(self) -> str:
        """Canonical JSON of the run: `stored_fields` with sorted keys and without spaces."""
        return json.dumps(_as_dict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "RunConfig":
        """The run that a JSON file configures, such as a store's `runs/*/config.json`.

        Raises:
            InputError: a file that cannot be read, or that holds no run's configuration.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise InputError(f"cannot read {path}: {reason}; give a run's config.json") from error
        try:
            return cls.from_json(text)
        except InputError as error:
            is_python = Path(path).suffix == ".py"
            hint = "; scaling-jax run trains an experiment" if is_python else ""
            raise InputError(f"{path}: {error}{hint}") from error

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """The configuration that `to_json` wrote.

        Raises:
            InputError: not JSON, an unknown or missing field, or a value of the wrong type.
        """
        return from_dict(cls, parsed_json(text, "a run's config.json"), stored=True)


def _as_dict(config: Any) -> Any:
    # `dataclasses.asdict` copies every value, which would take most of the time of hashing.
    if isinstance(config, tuple):
        return [_as_dict(each) for each in config]
    fields = stored_fields(config)
    return {name: _as_dict(value) for name, value in fields.items()} if fields else config


def hash_of(canonical_json: str) -> str:
    """The `run_id` that belongs to the canonical JSON of a run."""
    return hashlib.sha256(canonical_json.encode()).hexdigest()[:RUN_ID_LENGTH]


def descent_start(config: RunConfig) -> int:
    """The last update, counted from 0, at which a run has its peak learning rate.

    Runs under `wsd` that differ only in their length are identical up to and including it.
    """
    start = config.optimizer.warmup_steps
    if config.optimizer.cooldown_share is None:
        return start
    return max(start, config.steps - 1 - round(config.optimizer.cooldown_share * config.steps))
