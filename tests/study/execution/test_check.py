"""Bad input is one message before anything is trained, and changes nothing."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from small_studies import RECIPE, small_study, write_fake_result

from scaling_jax.config import DataConfig, NoiseScale
from scaling_jax.errors import InputError
from scaling_jax.study import ConstantBatch, Store, Study, run_study
from scaling_jax.study.execution import attempt as attempts


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    def train(*args, **options):
        pytest.fail("a run was trained")

    monkeypatch.setattr(attempts, "train_run", train)


def contents(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


def text_study(path, **changes):
    return small_study(data=DataConfig(f"text:{path}"), **changes)


def write_words(path, n):
    path.write_text("\n\n".join(f"document {i} says little " * 5 for i in range(n)))
    return path


def bad_studies(tmp_path):
    short = write_words(tmp_path / "short.txt", 500)
    long = write_words(tmp_path / "long.txt", 8000)
    return {
        "the run needs 1.* tokens, but the corpus holds": text_study(short, eval_tokens=256),
        "held-out text has .* tokens": text_study(long, eval_tokens=100_000),
        "unknown corpus 'nonsense'": small_study(data=DataConfig("nonsense")),
        "unknown tokenizer 'nonsense'": small_study(data=DataConfig("embedded", "nonsense")),
        "no file matches": text_study(tmp_path / "absent.txt"),
        "too small for a shape": small_study(1e5),
        "small 3 does not divide over": small_study(noise_scale=NoiseScale(sequences=48, small=3)),
        "vocab_size is 100": small_study(family=replace(RECIPE.family, vocab_size=100)),
    }


def test_every_bad_study_is_refused_before_anything_is_written(tmp_path):
    for message, study in bad_studies(tmp_path).items():
        with pytest.raises(InputError, match=message):
            run_study(study, tmp_path / "root", workers=1, progress=False)
        assert not (tmp_path / "root").exists()


def test_a_bad_extension_leaves_earlier_results_as_they_were(tmp_path):
    store = Store.create(tmp_path, small_study())
    for run in store.runs():
        write_fake_result(run)
    before = contents(tmp_path)
    # 6 N D = 4e12 takes more text than there is.
    with pytest.raises(InputError, match="but the corpus holds"):
        run_study(small_study(2e9, 4e12), tmp_path, workers=1, progress=False)
    with pytest.raises(InputError, match="another recipe"):
        run_study(small_study(seed=1), tmp_path, workers=1, progress=False)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("below", ["", "below", "below/further"])
def test_a_root_that_cannot_be_written_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="is a file; choose another root"):
        run_study(small_study(), tmp_path / "file" / below, workers=1, progress=False)
    assert contents(tmp_path) == {tmp_path / "file": b"in the way"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_root_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="is not writable; choose another root"):
        run_study(small_study(), tmp_path / "new", workers=1, progress=False)


def test_a_root_of_another_study_is_refused(tmp_path):
    theirs = Store.create(tmp_path, small_study(name="theirs"))
    before = contents(tmp_path)
    with pytest.raises(InputError, match="belongs to the study 'theirs'"):
        run_study(small_study(), theirs.directory, workers=1, progress=False)
    assert contents(tmp_path) == before


def test_runs_of_one_study_all_read_the_same_text(tmp_path):
    text = write_words(tmp_path / "words.txt", 8000)
    study = text_study(text)
    run, begun = Store.create(tmp_path, study).runs()[:2]
    write_fake_result(run)
    before = contents(tmp_path / study.name)
    write_words(text, 9000)
    with pytest.raises(InputError, match="was trained on text with fingerprint"):
        run_study(study, tmp_path, workers=1, progress=False)
    (run.directory / "result.json").unlink()
    (begun.directory / "checkpoints").mkdir()
    (begun.directory / "data_fingerprint").write_text("that of another text")
    with pytest.raises(InputError, match="was started on text with fingerprint"):
        run_study(study, tmp_path, workers=1, progress=False)
    assert set(contents(tmp_path / study.name)) - set(before) == {
        Path(begun.directory) / "data_fingerprint"
    }


def test_a_study_that_is_over_needs_its_text_no_more(tmp_path):
    text = write_words(tmp_path / "words.txt", 8000)
    study = text_study(text)
    for run in Store.create(tmp_path, study).runs():
        write_fake_result(run)
    text.unlink()
    store = run_study(study, tmp_path, workers=1, progress=False)
    assert {run.state for run in store.runs()} == {"finished"}


def test_a_number_of_workers_that_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(InputError, match="workers 0 must be at least 1"):
        run_study(small_study(), tmp_path, workers=0, progress=False)


def test_a_batch_that_the_devices_cannot_share_is_refused(tmp_path, monkeypatch):
    import jax

    from scaling_jax.train import mesh

    monkeypatch.setattr(mesh.jax, "devices", lambda: jax.local_devices()[:1] * 4)
    study = Study("odd", replace(RECIPE, batch_size=ConstantBatch(6)), small_study().design)
    with pytest.raises(InputError, match="batch_size 6 does not divide over 4 devices"):
        run_study(study, tmp_path / "root", workers=1, progress=False)
    assert not (tmp_path / "root").exists()
