"""Runs that cannot be trained as given are rejected before anything is written."""

from dataclasses import replace

import pytest
from helpers import small_run

from scaling_jax.config import OptimizerConfig, program_of
from scaling_jax.errors import InputError
from scaling_jax.train import train_replicas, train_run


def test_runs_of_one_program_differ_in_seed_length_and_learning_rate(text):
    run = small_run(text)
    longer = replace(run, steps=2 * run.steps, seed=1, optimizer=OptimizerConfig(1e-4, 3))
    assert program_of(longer) == program_of(replace(run, optimizer=OptimizerConfig(1e-2, 0)))
    assert program_of(replace(run, batch_size=2 * run.batch_size)) != program_of(run)


def test_runs_of_other_programs_are_refused(text, cache, tmp_path):
    configs = [small_run(text), small_run(text, batch_size=16)]
    with pytest.raises(InputError, match="share their batch_size, but one has 8 and another 16"):
        train_replicas(configs, [tmp_path / "a", tmp_path / "b"], cache_dir=cache, progress=False)
    assert not list(tmp_path.iterdir())


def test_every_run_has_a_directory_of_its_own(text, tmp_path):
    configs = [small_run(text), small_run(text, seed=1)]
    for directories in ([tmp_path / "a"], [tmp_path / "a"] * 2, [tmp_path / n for n in "abc"]):
        with pytest.raises(InputError, match=r"give (each its own|one for each)"):
            train_replicas(configs, directories, progress=False)


def test_a_directory_is_that_of_one_run(text, cache, tmp_path):
    first = small_run(text, steps=8)
    train_run(first, tmp_path / "run", cache_dir=cache, progress=False)
    for other in (replace(first, seed=1), replace(first, steps=7)):
        with pytest.raises(InputError, match=r"is the directory of a run whose (seed|steps) is"):
            train_run(other, tmp_path / "run", cache_dir=cache, progress=False)


@pytest.mark.parametrize("name", ["config.json", "data_fingerprint"])
@pytest.mark.parametrize(
    "content",
    [b"[]", b"[" * 200_000, b"\xff", None],
    ids=["list", "nested", "no text", "directory"],
)
def test_a_directory_with_a_damaged_file_is_named(text, cache, tmp_path, name, content):
    run = small_run(text, steps=8)
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / name
    path.write_bytes(content) if content is not None else path.mkdir()
    named = rf"{name} is damaged|started on text with fingerprint \["
    with pytest.raises(InputError, match=named) as caught:
        train_run(run, tmp_path / "run", cache_dir=cache, progress=False)
    assert len(str(caught.value)) < 500
