"""A finished run is loaded with the loss that was recorded, and refused where it has no model."""

import json
from dataclasses import replace

import pytest
from helpers import small_run, write_text

import scaling_jax as sj
from scaling_jax.errors import InputError
from scaling_jax.train import train_run


@pytest.fixture(scope="module")
def run(directory):
    return sj.load_run(directory)


def test_loss_is_the_recorded_one_to_the_last_bit(run, text):
    assert run.result.loss == run.loss() == run.loss(f"text:{text}")
    found = run.evaluate()
    assert found.stderr == run.result.loss_stderr
    assert found.bits_per_byte == run.result.bits_per_byte


def test_a_relative_path_names_the_same_run(run, directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    assert sj.load_run("run").loss() == run.result.loss


def test_it_prints_in_a_few_lines(run):
    assert f"run {run.config.run_id}: loss {run.result.loss:.4f}" in repr(run)
    assert "2 layers, width 16, vocabulary 256, context 32" in repr(run)
    assert len(repr(run)) < 200
    assert run._repr_html_().startswith("<pre>")


def test_history_has_each_step(run):
    assert list(run.history["step"]) == list(range(1, run.config.steps + 1))
    assert run.history["tokens"].iloc[-1] == run.config.tokens


def test_loss_on_a_text_is_that_of_its_windows(run):
    text = "the law of large models and of small ones " * 8
    found = run.evaluate(text, tokens=64)
    assert found.loss == pytest.approx(run.loss(text[:65]), abs=1e-6)
    assert found.bits_per_byte == pytest.approx(found.loss / 0.6931472)
    with pytest.raises(InputError, match="the text has 9 tokens"):
        run.loss("two words")


def test_another_corpus_is_evaluated_as_far_as_it_goes(run, tmp_path):
    other = write_text(tmp_path / "other.txt", 120, seed=1)
    assert 0 < run.loss(f"text:{other}") < 6
    with pytest.raises(InputError, match="unknown corpus 'txt:other'"):
        run.loss("txt:other")


def test_a_text_that_has_changed_is_refused(tmp_path):
    text = write_text(tmp_path / "words.txt", 400)
    # The shape of `directory`, whose programs are compiled.
    shape = dict(activation="swiglu", n_heads=4, n_kv_heads=2)
    train_run(small_run(text, steps=6, shape=shape), tmp_path / "run", progress=False)
    write_text(text, 400, seed=5)
    with pytest.raises(InputError, match="restore the corpus"):
        sj.load_run(tmp_path / "run").loss()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "not the directory of a run"),
        (lambda run: (run / "config.json").write_text("{"), "config.json is damaged"),
        (lambda run: (run / "result.json").unlink(), "has no result"),
        (lambda run: _diverge(run / "result.json"), "diverged at step 3"),
        (lambda run: (run / "checkpoints").rename(run / "gone"), "cannot be read"),
    ],
    ids=["nothing", "damaged", "unfinished", "diverged", "no-checkpoint"],
)
def test_what_has_no_model_is_refused(directory, tmp_path, change, message):
    import shutil

    copy = shutil.copytree(directory, tmp_path / "run")
    change(copy)
    with pytest.raises(InputError, match=message):
        sj.load_run(copy)


def _diverge(path):
    from scaling_jax.config import RunConfig
    from scaling_jax.runs.result import read_result, write_result

    directory = path.parent
    config = RunConfig.from_json((directory / "config.json").read_text())
    result = read_result(directory, config)
    tokens = 3 * config.tokens_per_step
    losses = dict(loss=None, loss_stderr=None, bits_per_byte=None)
    write_result(
        directory, replace(result, status="diverged", steps=3, tokens=tokens, **losses), config
    )
    assert json.loads(path.read_text())["status"] == "diverged"
