"""Downstream tasks: questions with possible answers, and the table of what each name loads.

A question is a context with continuations, of which one is right. With several continuations a
task is a choice; with one it asks for the last words of a text (LAMBADA).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax.config.strict import parsed_json
from scaling_jax.data.corpus import split_options
from scaling_jax.errors import InputError, suggestion

# Questions of a point of the curve, unless there are fewer.
CURVE_QUESTIONS = 200

_FIELDS = ("context", "continuations", "gold")


@dataclass(frozen=True)
class Question:
    """One question of a task.

    Attributes:
        contexts: the text before each continuation; the same one in most tasks.
        continuations: the answers, with the space that separates each from its context.
        gold: which of them is right.
        where: its place, for messages.
    """

    contexts: tuple[str, ...]
    continuations: tuple[str, ...]
    gold: int
    where: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each continuation after its context."""
        return tuple(zip(self.contexts, self.continuations, strict=True))


@dataclass(frozen=True)
class Task:
    """A named list of questions, all of them choices or all of them with one continuation.

    Attributes:
        name: the name that `load_task` was given.
        fingerprint: a hash of the questions.
        questions: in the order of the source.
        curve: number of questions, evenly spread, at a point of a held-out curve.

    Raises:
        InputError: no questions, or choices beside questions with one continuation.
    """

    name: str
    fingerprint: str
    questions: tuple[Question, ...]
    curve: int = CURVE_QUESTIONS

    def __post_init__(self) -> None:
        if not self.questions:
            raise InputError(f"{self.name} has no question: give a file with some")
        counts = {len(question.continuations) > 1: question for question in self.questions}
        if len(counts) > 1:
            raise InputError(
                f"{counts[False].where} has one continuation, but {counts[True].where} has "
                f"{len(counts[True].continuations)}: put last words and choices in separate files"
            )

    @property
    def is_choice(self) -> bool:
        """Whether its questions have several continuations."""
        return len(self.questions[0].continuations) > 1

    @cached_property
    def chance(self) -> float | None:
        """Expected accuracy of a random choice; None for last words."""
        if not self.is_choice:
            return None
        return float(np.mean([1 / len(question.continuations) for question in self.questions]))

    @property
    def of_curve(self) -> np.ndarray:
        """Indices of the questions at a point of a held-out curve."""
        return _spread(len(self.questions), self.curve)

    def spread(self, n: int) -> "Task":
        """The task with at most `n` of its questions, evenly spread."""
        chosen = tuple(self.questions[i] for i in _spread(len(self.questions), n))
        return dataclasses.replace(self, questions=chosen, fingerprint=f"{self.fingerprint}-{n}")

    def to_jsonl(self) -> str:
        """The task as JSON lines, which `task:PATH` reads from a file."""
        lines = []
        for question in self.questions:
            same = len(set(question.contexts)) == 1
            context = question.contexts[0] if same else list(question.contexts)
            row = dict(zip(_FIELDS, (context, question.continuations, question.gold), strict=True))
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        return "".join(lines)


def content_hash(content: bytes) -> str:
    """The fingerprint of a file of questions."""
    return hashlib.sha256(content).hexdigest()[:24]


def _spread(n_there: int, n: int) -> np.ndarray:
    return np.linspace(0, n_there - 1, min(n, n_there)).round().astype(np.int64)


@dataclass(frozen=True)
class TaskKind:
    """One kind of task: how a user writes its name, and what loads the part after the colon."""

    usage: str
    load: Callable[[str], Task]


def load_task(name: str) -> Task:
    """The task called `name`: the path of a file of JSON lines, or a name as in `task_kinds`.

    Raises:
        InputError: an unknown kind, or a fault in the file, with its line.
    """
    kinds = task_kinds()
    key, colon, argument = name.partition(":")
    if not colon or (key not in kinds and Path(name).expanduser().exists()):
        key, argument = "task", name
    if key not in kinds or not argument:
        known = ", ".join(kind.usage for kind in kinds.values())
        raise InputError(f"unknown task {name!r}: use one of {known}")
    return dataclasses.replace(kinds[key].load(argument), name=name)


def task_kinds() -> dict[str, TaskKind]:
    """The table of tasks. The key is the name of a task up to the first colon."""
    from scaling_jax.data import cloze, olmo_requests

    return {
        "task": TaskKind("task:PATH.jsonl[?questions=N&curve=N]", load_file),
        "olmo": TaskKind("olmo:TASK/VARIANT[?questions=N&curve=N]", olmo_requests.load),
        "cloze": TaskKind("cloze:CORPUS[?questions=N&words=N&choices=N&wrong=order]", cloze.load),
    }


def load_file(argument: str) -> Task:
    """The task of a file of JSON lines with `context`, `continuations` and `gold`.

    `gold` counts from 0. `context` may be a list with a context for each continuation.
    `?questions=N` takes N questions, evenly spread; `?curve=N` is `Task.curve`.

    Raises:
        InputError: a file that cannot be read, a line that is not such an object, an answer that is
            missing, empty or out of range, or a question or continuation that is there twice.
    """
    path, options = split_options(argument, dict(questions="", curve=""))
    try:
        content = Path(path).expanduser().read_bytes()
        lines = content.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"cannot read the task {path!r} ({reason}): check the file") from error
    questions, first = list[Question](), dict[Any, str]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        question = _question(line, f"{path}, line {number}")
        if question.pairs in first:
            raise InputError(
                f"{question.where} has the question of {first[question.pairs]} again: remove one"
            )
        first[question.pairs] = question.where
        questions.append(question)
    if not questions:
        raise InputError(f"the task {path!r} has no question: give a file with some")
    task = Task(path, content_hash(content), tuple(questions))
    return sampled(task, options)


def sampled(task: Task, options: Mapping[str, str]) -> Task:
    """The task under the options `questions` and `curve`.

    Raises:
        InputError: an option that is not a whole number of at least 1.
    """
    if curve := count(task.name, options, "curve"):
        task = dataclasses.replace(task, curve=curve)
    if n := count(task.name, options, "questions"):
        task = task.spread(n)
    return task


def count(name: str, options: Mapping[str, str], option: str) -> int | None:
    """The value of an option that counts something; None without it.

    Raises:
        InputError: it is not a whole number of at least 1.
    """
    text = options[option]
    if text == "":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{name}: {option} {text!r} must be a whole number of at least 1")
    return int(text)


def _question(line: str, where: str) -> Question:
    row = parsed_json(line, where)
    if not isinstance(row, dict):
        raise InputError(f"{where} is not an object with {', '.join(_FIELDS)}: write one")
    for name in row:
        if name not in _FIELDS:
            raise InputError(f"{where} has the unknown field {name!r}{suggestion(name, _FIELDS)}")
    for name in _FIELDS:
        if row.get(name) is None:
            raise InputError(f"{where} has no {name!r}: add it, or remove the line")
    continuations, context, gold = row["continuations"], row["context"], row["gold"]
    if not _are_texts(continuations) or not continuations:
        raise InputError(f"{where}: continuations must be a list of texts, such as [' a', ' b']")
    contexts = [context] * len(continuations) if isinstance(context, str) else context
    if not _are_texts(contexts) or len(contexts) != len(continuations):
        raise InputError(
            f"{where}: context must be a text, or a list with a text for each of the "
            f"{len(continuations)} continuations"
        )
    question = Question(tuple(contexts), tuple(continuations), gold, where)
    check_answers(question)
    for i, pair in enumerate(question.pairs):
        if pair in question.pairs[:i]:
            raise InputError(
                f"{where}: continuation {i} {pair[1]!r} is there twice: remove one of them"
            )
    return question


def check_answers(question: Question) -> None:
    """Check the answers of a question.

    Raises:
        InputError: `gold` is not the index of a continuation, or a continuation is empty.
    """
    gold, n = question.gold, len(question.continuations)
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < n:
        raise InputError(
            f"{question.where}: gold {gold!r} must be the number of one of the {n} continuations, "
            f"from 0 to {n - 1}"
        )
    for i, text in enumerate(question.continuations):
        if not text.strip():
            raise InputError(
                f"{question.where}: continuation {i} is empty: write the answer, or remove the line"
            )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
