"""Recipe: the rules that turn a shape and a budget into a complete run."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scaling_jax.accounting import flops
from scaling_jax.config import DataConfig, OptimizerConfig, Precision, RunConfig, Shape, from_dict
from scaling_jax.config.batch_ramp import BatchRamp
from scaling_jax.config.dropout import NO_DROPOUT, Dropout
from scaling_jax.config.evaluation import END_WINDOWS, EvalSet, LogSpaced, without_default_share
from scaling_jax.config.noise_scale import NoiseScale
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.config.strict import later, number, settle_numbers, whole_number
from scaling_jax.errors import InputError
from scaling_jax.formatting import Readable
from scaling_jax.shapes import Family
from scaling_jax.shapes.table import ShapeTable
from scaling_jax.study.plan.rules import BatchRule, LearningRateRule, Warmup
from scaling_jax.user_modules import running

BUDGET_TOLERANCE = 0.005

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Recipe(Readable):
    """Everything about a study's runs except which shapes to train on how many tokens.

    >>> from scaling_jax.study import ConstantBatch, PowerLawLR
    >>> recipe = Recipe(
    ...     data=DataConfig(corpus="embedded", tokenizer="bytes"),
    ...     family=Family(vocab_size=256, seq_len=128),
    ...     peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
    ...     batch_size=ConstantBatch(16),
    ... )
    >>> run = recipe.for_tokens(recipe.family.nearest(60e3), tokens=1e6)
    >>> run.batch_size, run.steps, run.optimizer.warmup_steps
    (16, 488, 24)

    Attributes:
        data: corpus and tokenizer.
        family: gives the shape for a wanted number of parameters.
        peak_lr: learning-rate rule.
        batch_size: batch rule, in sequences.
        warmup: warm-up rule.
        optimizer_knobs: values of `OptimizerConfig` fields that differ from the defaults, such as
            `name` and `schedule`.
        precision: number format of the matrix products.
        parameterization: standard, muP or CompleteP. Under muP and CompleteP the learning-rate
            rule gives the rate of the base size.
        eval_tokens: number of held-out tokens for the final loss. By default 4,096 windows of the
            shape's `seq_len`, or the whole held-out text where it has fewer.
        convention: how a budget's FLOPs are counted. Under `6nd`, the default, C = 6 N D holds
            exactly, which is what the laws' frontiers assume.
        seed: seed of initialization and data order.
        eval_every: tokens between held-out evaluations along a run, or a rule such as
            `LogSpaced()`; by default a run is evaluated only at its end.
        curve_tokens: number of held-out tokens for each evaluation before the end, by default
            what the share of `LogSpaced` pays for, and 8,192 without a share.
        evals: further held-out sets, each an `EvalSet`.
        dropout: shares of values that training sets to zero, such as `Dropout.everywhere(0.1)`.
        batch_ramp: smaller batches in the first part of every run; by default none.
        eval_details: whether runs store their losses at each position and of each window.
        noise_scale: when the gradient noise scale is measured along a run, a `NoiseScale`; by
            default never.

    Raises:
        InputError: a learning-rate or batch rule that is not a function, or a field that is not a
            number of its type.
    """

    data: DataConfig
    family: Family | ShapeTable
    peak_lr: LearningRateRule
    batch_size: BatchRule
    warmup: Warmup = field(default_factory=Warmup)
    optimizer_knobs: dict[str, float | str] = field(default_factory=dict)
    precision: Precision = "float32"
    parameterization: Parameterization = STANDARD
    eval_tokens: int | None = None
    convention: flops.Convention = "6nd"
    seed: int = 0
    eval_every: int | LogSpaced | None = later(None)
    curve_tokens: int | None = later(None)
    evals: tuple[EvalSet, ...] = later(())
    dropout: Dropout = later(NO_DROPOUT)
    batch_ramp: BatchRamp | None = later(None)
    eval_details: bool = later(False)
    noise_scale: NoiseScale | None = later(None)

    def __post_init__(self) -> None:
        settle_numbers(self)
        object.__setattr__(self, "evals", tuple(self.evals))
        if self.curve_tokens is not None:
            object.__setattr__(self, "eval_every", without_default_share(self.eval_every))
        for name, example in (("peak_lr", "ConstantLR(3e-3)"), ("batch_size", "ConstantBatch(8)")):
            if not callable(getattr(self, name)):
                raise InputError(
                    f"the recipe's {name} {getattr(self, name)!r} is not a rule: write one, such "
                    f"as {example}"
                )

    def for_budget(self, shape: Shape, budget: float) -> RunConfig:
        """The run of `shape` whose training FLOPs come within 0.5 % of `budget`.

        Where whole steps miss the budget by more, the batch is halved until they do not.

        Raises:
            InputError: the budget is too small for the shape.
        """
        return self.at_budget([shape], budget)[0]

    def at_budget(self, shapes: Sequence[Shape], budget: float) -> list[RunConfig]:
        """The runs of `shapes` whose training FLOPs come within 0.5 % of `budget`.

        Where whole steps of one shape miss the budget by more, the batch is halved for every shape
        to which the rule gives the same batch, so that the batch confounds no comparison of sizes.

        Raises:
            InputError: the budget is too small for one of the shapes.
        """
        wanted = [self.wanted_batch(shape, budget) for shape in shapes]
        alike = {n: [s for s, m in zip(shapes, wanted, strict=True) if m == n] for n in wanted}
        batches = {n: self.halved(of_one, n, budget) for n, of_one in alike.items()}
        return [
            self._config(shape, batches[n], self.whole_steps(shape, batches[n], budget))
            for shape, n in zip(shapes, wanted, strict=True)
        ]

    def wanted_batch(self, shape: Shape, budget: float) -> int:
        """Sequences per step that the rule gives `shape` at `budget`, before any halving."""
        sequence = flops.training_flops(shape, shape.seq_len, self.convention)
        return self._sequences(shape, budget / (sequence / shape.seq_len))

    def whole_steps(self, shape: Shape, batch_size: int, budget: float) -> int:
        """Number of steps whose FLOPs come within 0.5 % of `budget`; 0 if there is none."""
        per_step = flops.training_flops(shape, batch_size * shape.seq_len, self.convention)
        steps = round(budget / per_step)
        close = steps > 1 and abs(steps * per_step / budget - 1) <= BUDGET_TOLERANCE
        return steps if close else 0

    def halved(self, shapes: Sequence[Shape], batch_size: int, budget: float) -> int:
        """`batch_size`, halved until whole steps of every shape meet the budget.

        Raises:
            InputError: the budget is too small for one of the shapes.
        """
        while missed := [s for s in shapes if not self.whole_steps(s, batch_size, budget)]:
            if batch_size == 1:
                raise InputError(
                    f"budget {budget:.3g} FLOPs is too small for a shape of "
                    f"{flops.count_params(missed[0]).total} parameters: whole steps of one "
                    f"sequence miss it by more than {BUDGET_TOLERANCE:.1%}; raise the budget or "
                    "use smaller shapes"
                )
            batch_size //= 2
        return batch_size

    def for_tokens(self, shape: Shape, tokens: float) -> RunConfig:
        """The run of `shape` on the whole number of batches nearest to `tokens`.

        Raises:
            InputError: `tokens` are fewer than two batches.
        """
        batch_size = self._sequences(shape, tokens)
        steps = round(tokens / (batch_size * shape.seq_len))
        if steps < 2:
            raise InputError(
                f"{tokens:.3g} tokens are fewer than two batches of {batch_size} sequences of "
                f"{shape.seq_len}: lengthen the horizon or shrink the batch"
            )
        return self._config(shape, batch_size, steps)

    def _sequences(self, shape: Shape, tokens: float) -> int:
        return _positive(whole_number, "batch_size", self.batch_size, shape, tokens)

    def _config(self, shape: Shape, batch_size: int, steps: int) -> RunConfig:
        tokens = steps * batch_size * shape.seq_len
        batch = {"batch_size": batch_size} if _sees_batch(self.peak_lr) else {}
        peak_lr = _positive(number, "peak_lr", self.peak_lr, shape, tokens, **batch)
        knobs = self.optimizer_knobs
        for name in ("peak_lr", "warmup_steps"):
            if name in knobs:
                raise InputError(f"optimizer_knobs set {name}, which the recipe's rule for it does")
        own = dict(
            peak_lr=float(f"{peak_lr:.6g}"),
            warmup_steps=self.warmup(steps),
        )
        optimizer = from_dict(OptimizerConfig, knobs | own)
        return RunConfig(
            shape=shape,
            data=self.data,
            optimizer=optimizer,
            batch_size=batch_size,
            steps=steps,
            eval_tokens=self._eval_tokens(shape),
            precision=self.precision,
            parameterization=self.parameterization,
            seed=self.seed,
            eval_every=self.eval_every,
            curve_tokens=self.curve_tokens,
            evals=self.evals,
            dropout=self.dropout,
            batch_ramp=self.batch_ramp,
            eval_details=self.eval_details,
            noise_scale=self.noise_scale,
            eval_at_most=self.eval_tokens is None,
        )

    def _eval_tokens(self, shape: Shape) -> int:
        return END_WINDOWS * shape.seq_len if self.eval_tokens is None else self.eval_tokens


def _sees_batch(rule: Callable[..., Any]) -> bool:
    """Whether a learning-rate rule has a parameter for the batch that the run is trained with."""
    try:
        return "batch_size" in inspect.signature(rule).parameters
    except (TypeError, ValueError):
        # Functions of some extension modules have no signature.
        return False


def _positive(
    kind: Callable[[str, object], N],
    name: str,
    rule: Callable[..., Any],
    *given: object,
    **batch: int,
) -> N:
    """The number that a rule gives, checked.

    Raises:
        InputError: the rule fails, or gives something other than a positive number of its kind.
    """
    called = f"the recipe's {name} rule {getattr(rule, '__qualname__', rule)}"
    try:
        # A rule can be a function of the user's.
        with running(called):
            value = rule(*given, **batch)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{called} fails ({type(error).__name__}: {error}): it is called with a shape and a "
            "number of tokens"
        ) from error
    value = kind(f"{called} gives", value)
    if not value > 0:
        raise InputError(f"{called} gives {value}: it must be positive")
    return value
