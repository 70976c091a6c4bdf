"""Files of a store with wrong content: one message that names the file, or a run left out."""

import json
import shutil
import warnings

import pytest
from small_studies import small_study, write_curve, write_fake_result

from scaling_jax.errors import InputError, LeftOutWarning
from scaling_jax.study import Store, collect, curves
from scaling_jax.study.status import (
    InterimLaw,
    StudyMonitor,
    status_data,
    status_text,
    study_difference,
)
from scaling_jax.study.store import history
from scaling_jax.study.store.lock import is_held, lease
from scaling_jax.train.lineage import begun_at

NESTED, HUGE = "[" * 200_000, "1" + "0" * 400

DOCUMENTS = {
    "nothing": "",
    "half an object": '{"step": 1',
    "a list": "[]",
    "an object of nothing": "{}",
    "a number": "3",
    "text": '"finished"',
    "null": "null",
    "nested 200,000 deep": NESTED,
    "an object nested too deep": '{"a":' * 200_000,
    "1e400": HUGE,
    "5,000 digits": "1" * 5000,
    "no text": b"\xff\xfe\x00",
    "a directory": None,
}
VALUES = {
    "a list": "[]",
    "an object": "{}",
    "text": '"x"',
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "NaN": "NaN",
    "infinity": "Infinity",
    "1e400": HUGE,
    "nested": "[" * 500 + "]" * 500,
}

# Where each file lies, and whether a store with a wrong one is refused as a whole.
FILES = {
    "study.json": True,
    "law_so_far.json": False,
    "runs/0/config.json": True,
    "runs/0/plan.json": True,
    "runs/0/result.json": False,
    "runs/0/metrics.jsonl": False,
    "runs/1/metrics.jsonl": False,
    "runs/1/history": False,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with finished runs, a run under way, and a law that was fitted to them."""
    store = Store.create(tmp_path_factory.mktemp("whole"), small_study())
    finished, under_way, *others = store.runs()
    for run in (finished, *others):
        write_fake_result(run)
    write_curve(under_way, 3, 2.5)
    history.record(under_way.directory, "planned", reason="asked to stop", wait=1.0)
    InterimLaw(store, "chinchilla").law(StudyMonitor(store).look())
    return store


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole.directory, tmp_path / "small")
    return Store(tmp_path / "small")


def place(store, name):
    """The file of that name; runs are numbered from the smallest."""
    path = store.directory / name
    if name.startswith("runs/"):
        _, number, inside = name.split("/")
        path = store.runs()[int(number)].directory / inside
    return next(path.glob("*.json")) if path.is_dir() else path


def put(path, content):
    path.unlink()
    if content is None:
        path.mkdir()
        (path / "file").write_text("")
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def read_everything(store):
    """What `status`, `collect`, `fit` and `diff` read of a store."""
    opened = Store.open(store.directory)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LeftOutWarning)
        collect(opened), curves(opened, unfinished=True)
        study_difference(opened, small_study())
    standing = StudyMonitor(opened).look()
    law = InterimLaw(opened, "chinchilla").law(standing)
    status_data(standing, law, None), status_text(standing, law, None)
    for run in opened.runs():
        history.events(run.directory)
    return " ".join(str(one.message) for one in caught)


def problem(store):
    """Why the store is refused; None where it can be read."""
    try:
        read_everything(store)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_something_else_is_named(store, name, document):
    path = place(store, name)
    put(path, DOCUMENTS[document])
    if FILES[name]:
        message = problem(store)
        assert message is not None
        assert (path.name in message) or (str(path.parent) in message)
        assert len(message) < 600
    elif path.name == "result.json":
        left_out = read_everything(store)
        assert f"run {path.parent.name} " in left_out
        assert "result.json" in left_out
    else:
        read_everything(store)


def fields(path):
    text = path.read_text()
    return json.loads(text.splitlines()[-1] if path.suffix == ".jsonl" else text)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", FILES)
def test_a_field_that_holds_something_else_is_named_or_its_run_left_out(store, name, value):
    path = place(store, name)
    usual, texts = path.read_text(), fields(path)
    for field in texts:
        changed = json.dumps(texts | {field: "@"}).replace('"@"', VALUES[value])
        put(path, usual + changed + "\n" if path.suffix == ".jsonl" else changed)
        message = problem(store)
        if message is None:
            # A label, a text that may say anything, or what is as it was by default.
            harmless = {"name", "recipe", "design", "recipe_hash", "cell", "branch"}
            optional = {"wanted_tokens", "variation", "parameterization"}
            assert not FILES[name] or field in harmless | optional
        else:
            assert FILES[name], message
            assert field in message or "was changed" in message
            assert len(message) < 700


@pytest.mark.parametrize("document", [*DOCUMENTS, "a list of steps"])
def test_an_origin_that_holds_something_else_is_named(store, document):
    run = store.runs()[0]
    path = run.directory / "origin.json"
    path.write_text('{"run": "other", "step": 7}')
    assert begun_at(run.directory) == 7
    put(path, DOCUMENTS.get(document, '{"step": [1]}'))
    with pytest.raises(InputError, match=r"origin\.json is damaged .*restore it, or delete"):
        begun_at(run.directory)


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d != "a directory"])
def test_a_lease_that_holds_something_else_is_nobodys(tmp_path, document, monkeypatch):
    monkeypatch.setattr("scaling_jax.study.store.lock.SETTLE_SECONDS", 0.0)
    path = tmp_path / ".lease"
    path.write_text("")
    put(path, DOCUMENTS[document])
    with lease(path) as mine:
        assert mine
    assert not is_held(tmp_path)
