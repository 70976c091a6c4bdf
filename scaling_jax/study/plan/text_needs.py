"""What is wrong with the text of planned runs: length, held-out parts, vocabulary, overlaps."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.config import DataConfig, EvalSet, RunConfig
from scaling_jax.errors import InputError

if TYPE_CHECKING:
    from scaling_jax.data import TokenCache

Check = Callable[[RunConfig], object]

# Corpora that a package may have to download first.
_DOWNLOADED = "tfds:"


@dataclass(frozen=True)
class TextCheck:
    """The text of several runs, checked.

    Attributes:
        problems: a sentence for each fault: the field of the study, the fault, and the runs.
        token_bytes: bytes of the tokens of all corpora that were read.
        unread: names of the corpora that were not.
        warnings: a sentence for each task with questions that stand in the training text.
    """

    problems: tuple[str, ...]
    token_bytes: int = 0
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def refuse(self) -> None:
        """Refuse the runs if there is a problem.

        Raises:
            InputError: all problems, a line for each if there are several.
        """
        if len(self.problems) > 1:
            lines = "".join(f"\n- {problem}" for problem in self.problems)
            raise InputError(f"{len(self.problems)} problems with the text of the runs:{lines}")
        for problem in self.problems:
            raise InputError(problem)


@dataclass(frozen=True)
class Storage:
    """Where tokens are kept.

    Attributes:
        directory: of this machine, or in a bucket.
        token_bytes: bytes of the tokens there.
        disk_bytes: bytes on the disk of each host.
        memory_bytes: the most bytes of tokens in the memory of each process; None for tokens on
            disk, which are memory-mapped.
    """

    directory: str
    token_bytes: int
    disk_bytes: int
    memory_bytes: int | None


def storage_of(text: TextCheck, cache_dir: os.PathLike[str] | str | None) -> Storage:
    """Where the tokens of checked text are kept, and what they take on each host."""
    from scaling_jax.data import place

    where, n_bytes = place(cache_dir), text.token_bytes
    on_disk, memory = (0, where.memory) if where.is_shared else (n_bytes, None)
    return Storage(os.fspath(where.directory), n_bytes, on_disk, memory)


def is_local(config: RunConfig) -> bool:
    """Whether the corpus of a run, or every corpus of its mixture, is read without a download."""
    return is_read_locally(config.data.corpus)


def is_read_locally(corpus: str) -> bool:
    """Whether a corpus or a task, or every corpus of a mixture, is read without a download."""
    parts = corpus.removeprefix("cloze:").removeprefix("mixture:").split(",")
    return not any(part.strip().startswith(_DOWNLOADED) for part in parts)


def check_text(
    configs: Sequence[RunConfig],
    cache_dir: os.PathLike[str] | str | None = None,
    *,
    progress: bool = True,
    download: bool = True,
) -> TextCheck:
    """Every fault in the text of runs that can be known before they are trained.

    A corpus is tokenized if it was not before. Where several runs have a fault, the message names
    the one that needs most. Without `download`, a corpus that may have to be downloaded is not
    checked.
    """
    from scaling_jax import data

    problems, warnings = list[str](), list[str]()
    by_text = dict[DataConfig, list[RunConfig]]()
    sizes, unread = dict[str, int](), dict[str, None]()
    for config in configs:
        if not (download or is_local(config)):
            unread[config.data.corpus] = None
            continue
        text = DataConfig(config.data.corpus, config.data.tokenizer)
        by_text.setdefault(text, []).append(config)
    for text, runs in by_text.items():
        try:
            cache = data.prepare(text.corpus, text.tokenizer, cache_dir, progress=progress)
        except InputError as error:
            problems.append(f"recipe.data: {error}")
            continue
        sizes[cache.fingerprint] = cache.n_bytes
        problems += _faults(runs, cache)
        sets = dict.fromkeys(each for config in runs for each in config.evals)
        for each in sets:
            if not (download or each.is_task or is_read_locally(each.corpus)):
                unread[each.corpus] = None
                continue
            faults = list(_faults_of_set(each, runs, cache_dir, progress))
            problems += faults
            if not (faults or each.is_task):
                of_set = data.prepare_set(each, text.tokenizer, cache_dir, progress)
                sizes[of_set.fingerprint] = of_set.n_bytes
            if each.may_be_in_text and not faults:
                warnings += _in_text(each, text.corpus, cache_dir)
    return TextCheck(tuple(problems), sum(sizes.values()), tuple(unread), tuple(warnings))


def _in_text(
    each: EvalSet, training: str, cache_dir: os.PathLike[str] | str | None
) -> Iterator[str]:
    from scaling_jax import data
    from scaling_jax.data.tasks import load_task

    task = load_task(each.corpus)
    found = data.questions_in_text(task, training, cache_dir)
    if found.places:
        yield f"evaluation set {each.name!r}: {found.sentence(task, training)}"


def _faults_of_set(
    each: EvalSet,
    runs: Sequence[RunConfig],
    cache_dir: os.PathLike[str] | str | None,
    progress: bool,
) -> Iterator[str]:
    from scaling_jax.train.inputs import check_set

    yield from _fault(
        "recipe.evals",
        [config for config in runs if each in config.evals],
        lambda config: check_set(each, config, cache_dir, progress),
        lambda config: (
            *(config.shape.vocab_size, config.shape.seq_len),
            *(config.eval_tokens, config.eval_at_most),
        ),
        lambda config: config.eval_tokens,
    )


def _faults(runs: Sequence[RunConfig], cache: "TokenCache") -> Iterator[str]:
    from scaling_jax import data

    def fits(config: RunConfig) -> None:
        cache.check_vocabulary(config.data.tokenizer, config.shape.vocab_size)

    def is_lossless(config: RunConfig) -> None:
        cache.check_lossless(config.data.tokenizer, config.data.lossy_tokenizer)

    def is_long_enough(config: RunConfig) -> None:
        batches = data.Batches(
            cache.train,
            config.shape.seq_len,
            config.batch_size,
            config.seed,
            repeat=config.data.repeat,
            unique_tokens=config.data.unique_tokens,
        )
        batches.check_enough(config.steps)

    def has_held_out(config: RunConfig) -> None:
        wanted = config.shape.seq_len, config.eval_tokens, config.eval_at_most
        data.held_out_windows(cache, *wanted)

    # For each field: the check, what it depends on, and how much of it a run needs.
    checks: dict[str, tuple[Check, Callable[[RunConfig], object], Callable[[RunConfig], int]]] = {
        "recipe.family.vocab_size": (
            fits,
            lambda config: config.shape.vocab_size,
            lambda config: -config.shape.vocab_size,
        ),
        "recipe.data.tokenizer": (
            is_lossless,
            lambda config: config.data.lossy_tokenizer,
            lambda config: 0,
        ),
        "recipe.data": (
            is_long_enough,
            lambda config: (config.shape.seq_len, config.batch_size, config.steps, config.data),
            lambda config: config.tokens,
        ),
        "recipe.eval_tokens": (
            has_held_out,
            lambda config: (config.shape.seq_len, config.eval_tokens, config.eval_at_most),
            lambda config: config.eval_tokens,
        ),
    }
    for field, (check, key, need) in checks.items():
        yield from _fault(field, runs, check, key, need)


def _fault(
    field: str,
    runs: Sequence[RunConfig],
    check: Check,
    key: Callable[[RunConfig], object],
    need: Callable[[RunConfig], int],
) -> Iterator[str]:
    """The fault that `check` finds in the run that needs most, if it finds one.

    The outcome of `check` depends on `key` alone.
    """
    errors = {of: _refusal(check, config) for of, config in {key(c): c for c in runs}.items()}
    refused = [(config, error) for config in runs if (error := errors[key(config)])]
    if refused:
        worst, error = max(refused, key=lambda pair: need(pair[0]))
        others = f", which needs most of {len(refused)} such runs" if len(refused) > 1 else ""
        yield f"{field}: {error} (run {worst.run_id}{others})"


def _refusal(check: Check, config: RunConfig) -> str | None:
    try:
        check(config)
    except InputError as error:
        return str(error)
    return None
