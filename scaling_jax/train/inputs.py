"""The data of a run: training batches and held-out text, checked before training."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from etils import epath

from scaling_jax import data
from scaling_jax.config import EvalSet, RunConfig
from scaling_jax.config.evaluation import HELD_OUT
from scaling_jax.data.requests import TaskRequests, task_requests
from scaling_jax.data.tasks import load_task
from scaling_jax.errors import InputError
from scaling_jax.system.files import read_text, write_text_atomically

_FINGERPRINT_FILE = "data_fingerprint"


@dataclass(frozen=True)
class HeldOut:
    """The windows `tokens_NxT1` of a held-out set, and facts about its text."""

    tokens_NxT1: np.ndarray
    bytes_per_token: float | None
    fingerprint: str


@dataclass(frozen=True)
class Inputs:
    """Training batches, mappings of held-out sets and tasks, and the corpus's fingerprint.

    `in_text` has, for tasks that may stand in a training text, how many of their questions do.
    """

    batches: data.Batches
    held_out: Mapping[str, HeldOut]
    fingerprint: str
    tasks: Mapping[str, TaskRequests]
    in_text: Mapping[str, int]

    @property
    def windows(self) -> list[int]:
        """Number of windows in each of the held-out sets, that of the run's own corpus first."""
        return [len(each.tokens_NxT1) for each in self.held_out.values()]

    @property
    def texts(self) -> str:
        """The fingerprints of all texts: that of the run's corpus, and those of further sets."""
        further = [f"{name}={each.fingerprint}" for name, each in self.held_out.items()]
        tasks = [f"{name}={requested.task.fingerprint}" for name, requested in self.tasks.items()]
        return " ".join([self.fingerprint, *further[1:], *tasks])


def load_inputs(config: RunConfig, cache_dir: os.PathLike | str | None, progress: bool) -> Inputs:
    """The batches and the held-out text of a run; the corpus is tokenized if necessary.

    Raises:
        InputError: the tokenizer's vocabulary exceeds the shape's, the tokenizer is lossy without
            `lossy_tokenizer`, a text is too short, a held-out set shares documents with the
            training text, or a task has a fault.
    """
    corpus, shape = config.data.corpus, config.shape
    cache = data.prepare(corpus, config.data.tokenizer, cache_dir, progress=progress)
    cache.check_vocabulary(config.data.tokenizer, shape.vocab_size)
    start = config.start
    batches = data.Batches(
        cache.train,
        shape.seq_len,
        config.batch_size,
        config.seed,
        repeat=config.data.repeat,
        unique_tokens=config.data.unique_tokens,
        start=start.sequences if start else 0,
        epoch_batch=start.batch_size if start else None,
    )
    batches.check_enough(config.steps)
    if config.noise_scale is not None:
        batches.check_measurement(config.noise_scale.sequences)
    tasks = {each.name: task_of(each, config) for each in config.evals if each.is_task}
    return Inputs(
        batches=batches,
        held_out={
            HELD_OUT: _held_out(cache, config),
            **{
                each.name: further_set(each, config, cache_dir, progress)
                for each in config.evals
                if not each.is_task
            },
        },
        fingerprint=cache.fingerprint,
        tasks=tasks,
        in_text={
            each.name: len(data.questions_in_text(tasks[each.name].task, corpus, cache_dir).places)
            for each in config.evals
            if each.may_be_in_text
        },
    )


def _held_out(cache: data.TokenCache, config: RunConfig) -> HeldOut:
    cache.check_lossless(config.data.tokenizer, config.data.lossy_tokenizer)
    wanted = config.shape.seq_len, config.eval_tokens, config.eval_at_most
    windows_NxT1 = data.held_out_windows(cache, *wanted)
    return HeldOut(windows_NxT1, cache.bytes_per_token, cache.fingerprint)


def check_set(
    each: EvalSet, config: RunConfig, cache_dir: os.PathLike | str | None, progress: bool
) -> None:
    """Check a further held-out set, or a task, of a run.

    Raises:
        InputError: a reason of `further_set`, or a task that the run cannot be scored on.
    """
    if each.is_task:
        task_of(each, config)
    else:
        further_set(each, config, cache_dir, progress)


def further_set(
    each: EvalSet, config: RunConfig, cache_dir: os.PathLike | str | None, progress: bool
) -> HeldOut:
    """The windows of a further held-out set of a run; its corpus is tokenized if necessary.

    Raises:
        InputError: a vocabulary beyond the shape's, a text that is too short, or one that shares
            documents with the training text.
    """
    tokenizer = config.data.tokenizer
    try:
        cache = data.prepare_set(each, tokenizer, cache_dir, progress)
        cache.check_vocabulary(tokenizer, config.shape.vocab_size)
        found = _held_out(cache, config)
    except InputError as error:
        raise InputError(f"evaluation set {each.name!r} ({each.part}): {error}") from error
    # Whether a document is held out depends on its text alone, so only whole corpora can overlap.
    is_whole = each.part == "all"
    n = data.shared_documents(config.data.corpus, each.corpus, cache_dir) if is_whole else 0
    if n:
        raise InputError(
            f"evaluation set {each.name!r} shares {n:,} documents of {each.corpus!r} with the "
            f"training text {config.data.corpus!r}: remove them, or evaluate on part='held_out'"
        )
    return found


def task_of(each: EvalSet, config: RunConfig) -> TaskRequests:
    """The task of an evaluation set, with its requests to the model of a run.

    Raises:
        InputError: an unknown task, a fault in it, or an answer longer than the model's context.
    """
    tokenizer = data.load_tokenizer(config.data.tokenizer)
    try:
        return task_requests(load_task(each.corpus), tokenizer, config.shape.seq_len)
    except InputError as error:
        raise InputError(f"evaluation set {each.name!r}: {error}") from error


def check_same_text(directory: epath.Path, fingerprint: str) -> None:
    """Check that a run continues on the text that it started with.

    The first call stores the fingerprint in the run's directory.

    Raises:
        InputError: the corpus or the tokenizer has changed since the run's first step.
    """
    path = directory / _FINGERPRINT_FILE
    try:
        theirs = read_text(path)
    except FileNotFoundError:
        write_text_atomically(path, fingerprint)
        return
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is damaged ({getattr(error, 'strerror', None) or error}): delete the run to "
            "train it again"
        ) from error
    if theirs != fingerprint:
        raise InputError(
            f"{directory} was started on text with fingerprint {theirs[:80]}, but the corpus "
            f"now has {fingerprint}: restore the corpus, or delete the run to train it again"
        )
