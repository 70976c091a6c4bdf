"""Contexts and continuations as tokens, by the conventions of lm-evaluation-harness.

White space at the end of a context belongs to the continuation, so that a word's first token is
the one that the tokenizer gives it in the text. Context and continuation are encoded together and
divided where the context alone would end. Where both are longer than the model's context, the
first tokens are left out. An empty context is the start of a document: the tokenizer's separator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.data.tasks import Task
from scaling_jax.data.tokenizer import Tokenizer
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Request:
    """A continuation after its context.

    Attributes:
        tokens: int32 tokens of both, at most one more than the model's context.
        n_targets: how many of the last tokens are the continuation.
        is_cut: whether tokens of the context were left out.
    """

    tokens: np.ndarray
    n_targets: int
    is_cut: bool


@dataclass(frozen=True)
class TaskRequests:
    """A task and its requests: those of the first question's continuations, then of the next's."""

    task: Task
    requests: tuple[Request, ...]

    @property
    def offsets(self) -> np.ndarray:
        """Where the requests of each question begin, and after the last where they end."""
        return np.cumsum([0, *(len(each.continuations) for each in self.task.questions)])


def task_requests(task: Task, tokenizer: Tokenizer, seq_len: int) -> TaskRequests:
    """The requests of a task.

    Raises:
        InputError: a continuation without a token, or with more than `seq_len`; a tokenizer that
            reads no text.
    """
    if not tokenizer.is_of_text:
        raise InputError(
            f"tokenizer {tokenizer.name!r} reads no text, but {task.name} is text: leave it out"
        )
    return TaskRequests(
        task,
        tuple(
            encoded(*pair, tokenizer, seq_len, question.where)
            for question in task.questions
            for pair in question.pairs
        ),
    )


def encoded(
    context: str, continuation: str, tokenizer: Tokenizer, seq_len: int, where: str
) -> Request:
    """The tokens of a context and its continuation.

    Raises:
        InputError: a continuation without a token, or with more than `seq_len`; the message names
            the place `where` it stands.
    """
    context_ids, ids = encoded_pair(context, continuation, tokenizer)
    return request(context_ids, ids, seq_len, f"{where}: the continuation {continuation[:40]!r}")


def encoded_pair(
    context: str, continuation: str, tokenizer: Tokenizer
) -> tuple[list[int], list[int]]:
    """The token ids of a context and of its continuation.

    Raises:
        InputError: a tokenizer that reads no text.
    """
    kept = context.rstrip()
    whole = [int(i) for i in tokenizer.encode(context + continuation)]
    n_context = len(tokenizer.encode(kept)) if kept else 0
    if n_context:
        return whole[:n_context], whole[n_context:]
    if tokenizer.separator is None:
        raise InputError(
            f"tokenizer {tokenizer.name!r} reads no text, but a task is text: leave the task out"
        )
    if whole[:1] == [tokenizer.separator]:
        return whole[:1], whole[1:]
    return [tokenizer.separator], whole


def request(context_ids: Sequence[int], ids: Sequence[int], seq_len: int, what: str) -> Request:
    """A request of at most `seq_len` inputs; `what` names the continuation in messages.

    Raises:
        InputError: the continuation has no token, or more than `seq_len`.
    """
    if not ids:
        raise InputError(f"{what} has no token of its own: write more of the answer")
    if len(ids) > seq_len:
        raise InputError(
            f"{what} has {len(ids)} tokens, more than the model's context of {seq_len}: leave the "
            "question out, or train with a longer seq_len"
        )
    tokens = np.array([*context_ids, *ids], np.int32)
    return Request(tokens[-(seq_len + 1) :], len(ids), len(tokens) > seq_len + 1)
