"""When a run is evaluated, and on which held-out sets besides that of its own corpus."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scaling_jax.config.strict import (
    later,
    require_one_of,
    require_positive,
    settle_numbers,
)
from scaling_jax.errors import InputError

Part = Literal["held_out", "all"]

# The set of the run's own corpus, which every run has.
HELD_OUT = "held_out"

# Beginnings of the names of tasks; `scaling_jax/data/tasks.py` loads them.
TASKS = ("task:", "olmo:", "cloze:")

# A set's name is the end of the names of its columns, which must not be columns of another set.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_TAKEN = ("least", "stderr")

# Held-out tokens of a point of the curve that nothing else sets, unless there are fewer.
CURVE_TOKENS = 8192

# The share of a run's training FLOPs that the points of its curve take together by default. Short
# evaluations use a chip less well than training does, so they take up to twice this share of the
# training time (docs/recipes.md): 7 % of the FLOPs keep them below a tenth of the time.
CURVE_SHARE = 0.07

# Windows of the held-out text at the end of a run by default. Losses of windows have a standard
# deviation of 14 to 16 % of their mean on the embedded text, so that the mean of these has a
# standard error of 0.2 to 0.25 % (docs/recipes.md).
END_WINDOWS = 4096


@dataclass(frozen=True)
class LogSpaced:
    """Points of a held-out curve that are evenly spaced in the logarithm of the tokens.

    >>> LogSpaced(points=5).steps(1000)
    (10, 32, 100, 316, 1000)

    Attributes:
        points: number of points, the end of the run included. Points that fall on the same step
            count once.
        start: the first point, as a share of the run.
        share: share of the run's training FLOPs that all points before the end may take together.
            Each is then measured on as many held-out tokens as that pays for, at least a window
            and at most those of the end. With None, or where `curve_tokens` replaces the default
            share, points are measured on `curve_tokens` tokens, by default 8,192.

    Raises:
        InputError: fewer than 2 points, a start outside (0, 1), or a share outside (0, 1].
    """

    points: int = 20
    start: float = 0.01
    share: float | None = later(None, written=CURVE_SHARE)

    def __post_init__(self) -> None:
        settle_numbers(self)
        if self.points < 2:
            raise InputError(f"LogSpaced points {self.points} must be at least 2")
        if not 0 < self.start < 1:
            raise InputError(f"LogSpaced start {self.start} must lie between 0 and 1")
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(f"LogSpaced share {self.share} must be above 0 and at most 1")

    def steps(self, n_steps: int) -> tuple[int, ...]:
        """The steps, in ascending order, after which a run of `n_steps` steps is evaluated."""
        last = self.points - 1
        shares = (self.start ** (1 - i / last) for i in range(self.points))
        return tuple(sorted({max(1, round(n_steps * share)) for share in shares}))


@dataclass(frozen=True)
class EvalSet:
    """A held-out set besides that of the run's own corpus, read with the run's tokenizer.

    Attributes:
        name: letters and digits. The set's columns in a table of records are `loss_<name>` etc.
        corpus: a corpus, such as `stdlib` or `text:PATH`; or a task, such as `task:PATH.jsonl`,
            whose columns are `acc_<name>` etc.
        part: `held_out` reads the documents that no run trains on, whatever its corpus. `all`
            reads the whole corpus, which must share no document with the training text.

    Raises:
        InputError: a name of other characters, or one that is taken; an unknown part; or the part
            of a task.
    """

    name: str
    corpus: str
    part: Part = "held_out"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            raise InputError(
                f"the evaluation set's name {self.name!r} must be letters and digits, and neither "
                f"{' nor '.join(_TAKEN)}, because columns are named after it"
            )
        require_one_of("part", self.part, Part)
        if self.is_task and self.part != "held_out":
            raise InputError(
                f"evaluation set {self.name!r}: part {self.part!r} has no effect on a task: leave "
                "it out"
            )

    @property
    def is_task(self) -> bool:
        """Whether the set is a task."""
        return self.corpus.startswith(TASKS)

    @property
    def may_be_in_text(self) -> bool:
        """Whether the set is a task whose questions may stand in a training text.

        Those of a cloze task are of documents that no run trains on.
        """
        return self.is_task and not self.corpus.startswith("cloze:")

    def __str__(self) -> str:
        return f"{self.name}={self.corpus}" + (f" ({self.part})" if self.part == "all" else "")


EvalEvery = int | LogSpaced | None


def without_default_share(every: EvalEvery) -> EvalEvery:
    """`every` without the default share of `LogSpaced`, for points that something else sizes.

    >>> without_default_share(LogSpaced(points=5)).share is None
    True
    """
    if isinstance(every, LogSpaced) and every.share == CURVE_SHARE:
        return replace(every, share=None)
    return every


def check_evaluation(
    every: EvalEvery, curve_tokens: int | None, sets: Sequence[EvalSet], tokens: int, held_out: int
) -> None:
    """Check the evaluations of a run of `tokens` tokens that ends on `held_out` held-out tokens.

    Raises:
        InputError: a spacing that is not positive or longer than the run, more tokens for a point
            of the curve than for its end, or two sets of one name.
    """
    if every is not None and not isinstance(every, LogSpaced):
        require_positive("eval_every", every)
        if every > tokens:
            raise InputError(
                f"eval_every {every:,} tokens is more than the run's {tokens:,}: choose fewer, or "
                "LogSpaced(), which follows the length of each run"
            )
    if curve_tokens is not None:
        require_positive("curve_tokens", curve_tokens)
        if every is None:
            raise InputError(
                f"curve_tokens {curve_tokens:,} has no effect without eval_every: leave it out, or "
                "set eval_every"
            )
        if isinstance(every, LogSpaced) and every.share is not None:
            raise InputError(
                f"curve_tokens {curve_tokens:,} has no effect beside the share {every.share:g} of "
                "LogSpaced: leave one of them out"
            )
        if curve_tokens > held_out:
            raise InputError(
                f"curve_tokens {curve_tokens:,} is more than eval_tokens {held_out:,}: lower it, "
                "or raise eval_tokens"
            )
    for each in sets:
        if not isinstance(each, EvalSet):
            raise InputError(f"{each!r} is not an evaluation set: write EvalSet(name, corpus)")
    names = [each.name for each in sets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{names.count(name)} evaluation sets are named {name!r}: give each its own name"
            )


def evaluation_steps(every: EvalEvery, steps: int, tokens_per_step: int) -> tuple[int, ...]:
    """The steps, in ascending order, after which a run is evaluated; the last is its end.

    With a spacing in tokens, these are the first steps at which each multiple of it is reached.
    """
    if every is None:
        return (steps,)
    if isinstance(every, LogSpaced):
        return every.steps(steps)
    if every <= tokens_per_step:
        return tuple(range(1, steps + 1))
    multiples = range(every, steps * tokens_per_step + 1, every)
    return tuple(sorted({*(-(-tokens // tokens_per_step) for tokens in multiples), steps}))
