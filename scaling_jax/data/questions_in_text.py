"""Which questions of a task stand in a training text, by words in a row.

As in the overlap analysis of Brown et al. 2020 (2005.14165, appendix C), a question counts if 13
words in a row of it are in the text, in lower case and without punctuation. A question of 8 to 12
words counts if all of them are; a shorter one is not compared, since chance repeats it. The words
are those of the context with the right answer.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import numpy as np

from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.data.corpus import Corpus
from scaling_jax.data.place import place
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.split import documents_of, is_held_out
from scaling_jax.data.tasks import Task
from scaling_jax.system.files import read_text, write_text_atomically

_MOST_WORDS, _FEWEST_WORDS = 13, 8

# Questions that a message names.
_MOST_NAMED = 3

# Text that is compared at most: a minute or two.
_MOST_BYTES = 2**30

# Words that are compared at a time.
_CHUNK = 2**20

# An odd number with bits everywhere, so that hashes of different words differ in all places.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class QuestionsInText:
    """How many questions of a task stand in a training text.

    Attributes:
        places: indices of the questions that do, ascending.
        compared: number of questions with enough words to tell.
        whole: whether all of the text was compared, and not its first gibibyte alone.
    """

    places: tuple[int, ...]
    compared: int
    whole: bool

    def sentence(self, task: Task, training: str) -> str:
        """What was found, and where the first of these questions stand."""
        n, named = len(task.questions), [task.questions[i].where for i in self.places[:_MOST_NAMED]]
        more = ", ..." if len(self.places) > len(named) else ""
        short = n - self.compared
        return (
            f"{len(self.places):,} of the {n:,} questions of {task.name} stand in the training "
            f"text {training!r}{'' if self.whole else ', of which the first GiB was compared'}, "
            f"with {_MOST_WORDS} words in a row or all words of a shorter question: a model can "
            f"know their answers by heart; leave these questions out ({'; '.join(named)}{more})"
            + (f". {short:,} have fewer than {_FEWEST_WORDS} words, too few to tell" * bool(short))
        )


def questions_in_text(
    task: Task, training: str, cache_dir: os.PathLike | str | None = None
) -> QuestionsInText:
    """How many questions of `task` stand in the training text of the corpus `training`.

    The numbers are stored beside the token caches.

    Raises:
        InputError: an unknown corpus.
    """
    corpus = load_corpus(training, cache_dir)
    identity = f"{task.fingerprint} {corpus.fingerprint} {_MOST_WORDS} {_FEWEST_WORDS}"
    name = f"questions-{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    path = place(cache_dir).directory / name
    with suppress(OSError, ValueError):
        return from_dict(QuestionsInText, parsed_json(read_text(path), name), name)
    found = _compare(task, corpus)
    # A cache that belongs to somebody else may be read-only; the next call then counts again.
    with suppress(OSError):
        write_text_atomically(path, json.dumps(asdict(found)))
    return found


def _compare(task: Task, corpus: Corpus) -> QuestionsInText:
    questions = [
        _words(question.contexts[question.gold] + question.continuations[question.gold])
        for question in task.questions
    ]
    vocabulary = {word: i for i, word in enumerate({w for each in questions for w in each}, 1)}
    wanted: dict[int, dict[int, list[int]]] = {}
    compared = 0
    for number, words in enumerate(questions):
        n = min(len(words), _MOST_WORDS)
        if n < _FEWEST_WORDS:
            continue
        compared += 1
        ids = np.array([vocabulary[word] for word in words], np.uint64)
        for hashed in _hashes(ids, n).tolist():
            wanted.setdefault(n, {}).setdefault(hashed, []).append(number)
    found, text = set[int](), _Text(corpus, vocabulary)
    sought = {n: np.array(sorted(by_hash), np.uint64) for n, by_hash in wanted.items()}
    for ids in text.chunks() if sought else ():
        for n, hashes in sought.items():
            here = np.unique(_hashes(ids, n))
            for hashed in here[np.isin(here, hashes)].tolist():
                found.update(wanted[n][hashed])
    return QuestionsInText(tuple(sorted(found)), compared, text.whole)


class _Text:
    """The training text of a corpus as ids of words; 0 for all words but those of a vocabulary."""

    def __init__(self, corpus: Corpus, vocabulary: dict[str, int]) -> None:
        self._corpus, self._vocabulary = corpus, vocabulary
        self.whole = True

    def chunks(self) -> Iterator[np.ndarray]:
        """Documents one after the other, so apart that no words in a row are of two of them."""
        ids, n_bytes, apart = list[int](), 0, [0] * _MOST_WORDS
        for document in documents_of(self._corpus):
            if not isinstance(document, str) or is_held_out(content := document.encode()):
                continue
            n_bytes += len(content)
            if n_bytes > _MOST_BYTES:
                self.whole = False
                break
            ids += [self._vocabulary.get(word, 0) for word in _words(document)]
            ids += apart
            if len(ids) > _CHUNK:
                yield np.array(ids, np.uint64)
                ids = []
        yield np.array([*ids, *apart], np.uint64)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _hashes(ids: np.ndarray, n: int) -> np.ndarray:
    """A hash of every `n` ids in a row, by Horner's rule modulo 2^64."""
    count = len(ids) - n + 1
    hashed = np.zeros(count, np.uint64)
    for i in range(n):
        hashed = (hashed + ids[i : i + count]) * _MULTIPLIER
        hashed ^= hashed >> np.uint64(29)
    return hashed
