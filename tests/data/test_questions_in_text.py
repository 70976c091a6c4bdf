"""Questions that stand in the training text are found, and no others."""

import json
from pathlib import Path

import pytest

from scaling_jax.data import questions_in_text
from scaling_jax.data.split import is_held_out
from scaling_jax.data.tasks import Task, load_task


def sentence(i: int, n: int = 20) -> str:
    return " ".join(f"word{i}x{j}" for j in range(n))


DOCUMENTS = [sentence(i) for i in range(300)]
TRAINED = [document for document in DOCUMENTS if not is_held_out(document.encode())]
HELD_OUT = [document for document in DOCUMENTS if is_held_out(document.encode())]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(DOCUMENTS))
    return f"text:{path}"


def task(folder: Path, *answers: tuple[str, str]) -> Task:
    """A task with one question for each context and its right answer."""
    path = folder / "task.jsonl"
    rows = [{"context": c, "continuations": [" no", a], "gold": 1} for c, a in answers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_task(f"task:{path}")


def part(document: str, first: int, last: int) -> tuple[str, str]:
    """Words of a document as a context and an answer of one word."""
    words = document.split()[first:last]
    return " ".join(words[:-1]), f" {words[-1]}"


def test_words_in_a_row_of_a_training_document_are_found(corpus: str, tmp_path: Path) -> None:
    ours, theirs = TRAINED[0], HELD_OUT[0]
    context, answer = part(TRAINED[1], 3, 16)
    requested = (
        part(ours, 0, 20),
        (f"Other words before. {context.upper()},", f"{answer}!"),
        part(TRAINED[2], 5, 13),  # eight words, all of them
        part(theirs, 0, 20),  # no run trains on this document
        part(TRAINED[3], 0, 7),  # too few words to tell
        (part(TRAINED[4], 8, 20)[0], f" {TRAINED[5].split()[0]}"),  # of two documents
        (f"new {part(TRAINED[6], 0, 9)[0]}", " end"),  # ten words, two of them others
        (part(TRAINED[7], 0, 12)[0] + " other", " words"),  # eleven in a row of thirteen
    )
    found = questions_in_text(task(tmp_path, *requested), corpus, tmp_path)
    assert (found.places, found.compared, found.whole) == ((0, 1, 2), 7, True)
    assert "3 of the 8 questions" in found.sentence(task(tmp_path, *requested), corpus)
    assert "line 1; " in found.sentence(task(tmp_path, *requested), corpus)


def test_the_right_answer_counts_and_no_other(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    context, answer = part(TRAINED[0], 0, 13)
    row = {"context": context, "continuations": [answer, " elsewhere"]}
    lines = [json.dumps(row | {"gold": gold}) for gold in (0, 1)]
    path.write_text(f"{lines[0]}\n")
    assert questions_in_text(load_task(f"task:{path}"), corpus, tmp_path).places == (0,)
    path.write_text(f"{lines[1]}\n")
    assert questions_in_text(load_task(f"task:{path}"), corpus, tmp_path).places == ()


def test_a_second_call_reads_what_the_first_has_found(corpus: str, tmp_path: Path) -> None:
    requested = task(tmp_path, part(TRAINED[0], 0, 20))
    found = questions_in_text(requested, corpus, tmp_path)
    (stored,) = tmp_path.glob("questions-*")
    stored.write_text(stored.read_text().replace("true", "false"))
    assert not questions_in_text(requested, corpus, tmp_path).whole
    stored.write_text("damaged")
    assert questions_in_text(requested, corpus, tmp_path) == found
