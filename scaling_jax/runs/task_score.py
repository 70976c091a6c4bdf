"""Scores of a model on a task: accuracies, probability and bits per byte of the right answer."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.data.requests import TaskRequests
from scaling_jax.data.tasks import Question

# What the record of a run keeps of a score, besides the chance of a choice.
RECORDED = ("acc", "acc_norm", "soft", "bits_per_byte")


@dataclass(frozen=True)
class Mean:
    """A mean over questions and its standard error, which is None for a single question."""

    value: float
    stderr: float | None

    def __str__(self) -> str:
        return f"{self.value:.4f}" + ("" if self.stderr is None else f" ± {self.stderr:.4f}")


@dataclass(frozen=True)
class Likelihoods:
    """For each request: the log-likelihood of its continuation, and whether it is the likeliest.

    Attributes:
        log_likelihood_N: natural logarithm of the probability of all tokens, float64.
        is_greedy_N: whether each token of the continuation was the model's likeliest.
    """

    log_likelihood_N: np.ndarray
    is_greedy_N: np.ndarray

    def at(self, places: np.ndarray) -> "Likelihoods":
        """Those of the requests at these indices."""
        return Likelihoods(self.log_likelihood_N[places], self.is_greedy_N[places])


@dataclass(frozen=True)
class TaskScore:
    """How a model does on a task, as means over questions; None where a kind of task has no such.

    `acc`, `acc_norm` and `acc_bytes` are those of lm-evaluation-harness, `acc_token` and `soft`
    those of OLMo's ranked completions. Lengths are without one leading space, except in
    `bits_per_byte`.

    Attributes:
        questions: number of questions.
        cut: number of contexts of which the first tokens did not fit into the model's context.
        chance: expected accuracy of a random choice.
        acc: the likeliest continuation is the right one; for last words, all their tokens are the
            model's likeliest.
        acc_norm, acc_bytes, acc_token: the same for the likelihood per character, per UTF-8 byte
            and per token.
        soft: probability of the right continuation among the continuations.
        bits_per_byte: of the right continuation, as it is scored.
        nats: negative log-likelihood of the right continuation.
    """

    questions: int
    cut: int
    chance: float | None
    acc: Mean
    acc_norm: Mean | None
    acc_bytes: Mean | None
    acc_token: Mean | None
    soft: Mean | None
    bits_per_byte: Mean
    nats: Mean

    def __str__(self) -> str:
        about = f"{self.questions:,} questions"
        if self.chance is not None:
            about += f", chance {self.chance:.4f}"
        if self.cut:
            about += f", {self.cut:,} contexts cut to the model's length"
        means = [
            f"{field.name} {mean}"
            for field in dataclasses.fields(self)
            if isinstance(mean := getattr(self, field.name), Mean)
        ]
        return f"{about}\n" + "\n".join(means)


def task_score(
    requested: TaskRequests, found: Likelihoods, questions: np.ndarray | None = None
) -> TaskScore:
    """The score of a task from the likelihoods of the requests of these `questions`, or of all."""
    task, offsets = requested.task, requested.offsets
    chosen = np.arange(len(task.questions)) if questions is None else questions
    rows, cut, first = list[dict[str, float]](), 0, 0
    for i in chosen:
        of_question = slice(first, first + len(task.questions[i].continuations))
        own = requested.requests[offsets[i] : offsets[i + 1]]
        cut += sum(each.is_cut for each in own)
        rows.append(
            dict(
                _of_question(
                    task.questions[i],
                    np.array([each.n_targets for each in own], np.float64),
                    found.log_likelihood_N[of_question],
                    found.is_greedy_N[of_question],
                )
            )
        )
        first = of_question.stop
    means: dict[str, Any] = {name: _mean([row[name] for row in rows]) for name in rows[0]}
    without: dict[str, Any] = dict.fromkeys(("acc_norm", "acc_bytes", "acc_token", "soft"))
    chance = float(np.mean([1 / len(task.questions[i].continuations) for i in chosen]))
    return TaskScore(len(chosen), cut, chance if task.is_choice else None, **(without | means))


def _of_question(
    question: Question, tokens_K: np.ndarray, ll_K: np.ndarray, is_greedy_K: np.ndarray
) -> Iterator[tuple[str, float]]:
    gold, texts = question.gold, question.continuations
    if len(texts) > 1:
        unspaced = [text.removeprefix(" ") for text in texts]
        lengths = {
            "acc": np.ones(len(texts)),
            "acc_norm": np.array([len(text) for text in unspaced], np.float64),
            "acc_bytes": np.array([len(text.encode()) for text in unspaced], np.float64),
            "acc_token": tokens_K,
        }
        for name, length_K in lengths.items():
            yield name, float(np.argmax(ll_K / length_K) == gold)
        # Against the largest, so that the sum does not underflow.
        weight_K = np.exp(ll_K - ll_K.max())
        yield "soft", float(weight_K[gold] / weight_K.sum())
    else:
        yield "acc", float(is_greedy_K[gold])
    yield "bits_per_byte", float(-ll_K[gold] / math.log(2) / len(texts[gold].encode()))
    yield "nats", float(-ll_K[gold])


def _mean(values: list[float]) -> Mean:
    n = len(values)
    stderr = float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else None
    return Mean(float(np.mean(values)), stderr)


def task_row(name: str, score: TaskScore) -> dict[str, float | None]:
    """What the row of a curve has for a task: its means and their standard errors, by column."""
    row = dict[str, float | None]()
    for metric in RECORDED:
        mean: Mean | None = getattr(score, metric)
        if mean is not None:
            row[f"{metric}_{name}"] = mean.value
            row[f"{metric}_{name}_stderr"] = mean.stderr
    return row


def task_record(name: str, score: TaskScore | None) -> dict[str, float | int | None]:
    """What the record of a run has for a task; no means for a run that diverged."""
    if score is None:
        return {f"acc_{name}": None, f"bits_per_byte_{name}": None}
    finite = math.isfinite(score.nats.value)
    row = {column: value if finite else None for column, value in task_row(name, score).items()}
    about: dict[str, float | int | None] = {f"questions_{name}": score.questions}
    if score.chance is not None:
        about[f"chance_{name}"] = score.chance
    return row | about
