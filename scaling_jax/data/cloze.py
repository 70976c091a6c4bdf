"""Tasks made of the held-out documents of a corpus: which words continue a passage?

The right answer is what follows in the document. The wrong ones follow passages of other documents,
and have as many words (`wrong=other`), or are its own words in another order (`wrong=order`), which
smaller models can tell apart. No run trains on a document of such a task, whatever its corpus.
"""

import dataclasses
import hashlib
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from etils import epath

from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.split import is_held_out, texts_of
from scaling_jax.data.tasks import Question, Task, content_hash, count, load_file
from scaling_jax.errors import InputError
from scaling_jax.system.environment import default_cache_dir
from scaling_jax.system.files import write_text_atomically

_FORMAT = 1
_COUNTS = dict(questions="500", words="4", choices="4", curve="200")
_OPTIONS = _COUNTS | dict(wrong="other")
_WRONG = ("other", "order")
_CONTEXT_CHARACTERS = 400
_FEWEST_CONTEXT_WORDS = 8


@dataclasses.dataclass(frozen=True)
class Passage:
    """A passage of a document, and the words that follow it there."""

    document: int
    context: str
    continuation: str


def load(argument: str) -> Task:
    """The task `CORPUS[?questions=N&words=N&choices=N&wrong=KIND&curve=N]`, always the same.

    By default 500 questions, of 4 choices of 4 words. The task is stored beside the token caches.

    Raises:
        InputError: an unknown corpus, option or kind of wrong answers, a count below 1, fewer than
            2 choices, or a corpus with too few held-out documents.
    """
    name, options = _options(argument)
    counts = {option: count(f"cloze:{name}", options, option) or 1 for option in _COUNTS}
    wrong = options["wrong"]
    if wrong not in _WRONG:
        raise InputError(f"cloze:{name}: wrong {wrong!r} must be {' or '.join(_WRONG)}")
    if counts["choices"] < 2:
        raise InputError(f"cloze:{name}: choices {counts['choices']} must be at least 2")
    corpus = load_corpus(name)
    requested = (counts[option] for option in ("questions", "words", "choices"))
    made_of = [_FORMAT, corpus.fingerprint, *requested, wrong]
    fingerprint = hashlib.sha256(" ".join(map(str, made_of)).encode()).hexdigest()[:24]
    begin = default_cache_dir() / f"cloze-{fingerprint}"
    task = _stored(begin) or _build(corpus, begin, fingerprint, counts, wrong)
    questions = tuple(
        dataclasses.replace(question, where=f"cloze:{name}, question {i}")
        for i, question in enumerate(task.questions, 1)
    )
    return Task(f"cloze:{argument}", fingerprint, questions, counts["curve"])


def _options(argument: str) -> tuple[str, dict[str, str]]:
    """The corpus and the options; a corpus can have options of its own."""
    name, _, query = argument.rpartition("?")
    if name and all(item.partition("=")[0] in _OPTIONS for item in query.split("&")):
        return name, split_options(f"?{query}", _OPTIONS)[1]
    return argument, dict(_OPTIONS)


def _stored(begin: Path) -> Task | None:
    """The task in a file whose name starts with `begin` and ends with the hash of its content."""
    for path in sorted(begin.parent.glob(f"{begin.name}-*.jsonl")):
        with suppress(InputError):
            task = load_file(str(path))
            if path.stem.endswith(task.fingerprint):
                return task
    return None


def _build(
    corpus: Corpus, begin: Path, fingerprint: str, counts: dict[str, int], wrong: str
) -> Task:
    held_out = [text for text in texts_of(corpus) if is_held_out(text.encode())]
    requested = {option: counts[option] for option in ("questions", "words", "choices")}
    questions = questions_of(held_out, int(fingerprint, 16), **requested, wrong=wrong)
    task = Task(f"cloze:{corpus.name}", fingerprint, questions)
    text = task.to_jsonl()
    # A cache that belongs to somebody else may be read-only; the task is then made again.
    with suppress(OSError):
        begin.parent.mkdir(parents=True, exist_ok=True)
        path = begin.with_name(f"{begin.name}-{content_hash(text.encode())}.jsonl")
        write_text_atomically(epath.Path(path), text)
    return task


def questions_of(
    documents: list[str], seed: int, *, questions: int, words: int, choices: int, wrong: str
) -> tuple[Question, ...]:
    """Questions with one right of `choices` continuations, each of `words` words.

    Raises:
        InputError: fewer than `choices` documents are long enough, or they give too few passages.
    """
    rng = np.random.default_rng(seed)
    spans = [[match.span() for match in re.finditer(r"\S+", text)] for text in documents]
    least = _FEWEST_CONTEXT_WORDS + words
    usable = [i for i, of_document in enumerate(spans) if len(of_document) >= least]
    if len(usable) < choices:
        raise InputError(
            f"{len(usable)} of {len(documents)} held-out documents have {least} words or more, but "
            f"{choices} choices need {choices}: use a larger corpus, or fewer choices or words"
        )
    rounds = -(-questions // len(usable))
    chosen = np.concatenate([rng.permutation(usable) for _ in range(rounds)])[:questions]
    passages = [_passage(int(i), documents[i], spans[i], words, rng) for i in chosen]
    made = dict[tuple[str, str], Question]()
    for passage in passages:
        if wrong == "order":
            others = _reordered(passage, choices - 1, rng)
        else:
            others = _others(passage, passages, choices - 1, rng)
        if len(others) < choices - 1:
            continue  # Its words are too much alike for that many orders.
        gold = int(rng.integers(choices))
        answers = [*others[:gold], passage.continuation, *others[gold:]]
        question = Question((passage.context,) * choices, tuple(answers), gold, "a question")
        made.setdefault((passage.context, passage.continuation), question)
    if not made:
        raise InputError(
            f"{words} words have no {choices} different orders: use more words or fewer choices"
        )
    return tuple(made.values())


def _passage(
    i: int, text: str, spans: list[tuple[int, int]], words: int, rng: np.random.Generator
) -> Passage:
    first = int(rng.integers(_FEWEST_CONTEXT_WORDS, len(spans) - words + 1))
    end = spans[first - 1][1]
    begin = next(a for a, _ in spans if a >= end - _CONTEXT_CHARACTERS or a == spans[first - 1][0])
    following = " ".join(text[a:b] for a, b in spans[first : first + words])
    return Passage(i, text[begin:end], f" {following}")


def _reordered(passage: Passage, n: int, rng: np.random.Generator) -> list[str]:
    """Up to `n` distinct continuations with the words of `passage` in another order."""
    words, found = passage.continuation.split(), list[str]()
    for _ in range(20 * n):
        other = " " + " ".join(words[i] for i in rng.permutation(len(words)))
        if len(found) < n and other not in (passage.continuation, *found):
            found.append(other)
    return found


def _others(
    passage: Passage, passages: list[Passage], n: int, rng: np.random.Generator
) -> list[str]:
    """Distinct continuations of other documents than that of `passage`."""
    found = list[str]()
    for i in rng.permutation(len(passages)):
        other = passages[i]
        is_new = other.continuation not in (passage.continuation, *found)
        if other.document != passage.document and is_new:
            found.append(other.continuation)
        if len(found) == n:
            return found
    raise InputError(
        f"the held-out documents have too few different continuations for {n} wrong answers: use a "
        "larger corpus, more questions, or fewer choices"
    )
