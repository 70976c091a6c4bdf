"""A run survives kills, preemption and divergence, and reports what it measured."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from helpers import small_run, write_text

from scaling_jax.errors import InputError
from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.runs.result import read_result
from scaling_jax.train import make_mesh, train_run
from scaling_jax.train.checkpoint import open_checkpoints
from tests.quick import QUICKLY

SCRIPT = Path(__file__).with_name("train_once.py")


def one_device():
    return make_mesh(devices=jax.devices()[:1])


def start(config, directory, cache):
    path = directory.parent / f"{directory.name}.json"
    path.write_text(config.to_json())
    environment = os.environ | {
        "XLA_FLAGS": QUICKLY,
        "JAX_PLATFORMS": "cpu",
        "SCALING_JAX_CACHE": str(cache),
    }
    command = [sys.executable, str(SCRIPT), str(path), str(directory), str(cache)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def final_params(directory):
    with open_checkpoints(epath.Path(directory) / "checkpoints") as checkpoints:
        step = checkpoints.latest_step()
        return step, jax.tree.map(np.asarray, checkpoints.load(step, None)["params"])


def curve(directory):
    return [(row["step"], row["loss"]) for row in read_metrics(epath.Path(directory))]


def checkpoints_in(directory, whole):
    """Names of the checkpoints that are there, of the whole ones alone or of all."""
    names = {path.name for path in (directory / "checkpoints").glob("*")}
    return {name for name in names if name.isdecimal()} if whole else names


def saved(directory):
    """The newest step with a whole checkpoint, 0 for none."""
    return max(map(int, checkpoints_in(directory, whole=True)), default=0)


def wait_for_another_save(directory, process, whole):
    """Return when there is another checkpoint, begun or whole, or the process has ended."""
    before = checkpoints_in(directory, whole)
    while checkpoints_in(directory, whole) <= before and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore")
def test_killed_at_random_moments_a_run_ends_as_if_never_stopped(text, cache, tmp_path):
    config = small_run(text, steps=1200)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(config, whole, cache)
    output, _ = process.communicate()
    assert process.returncode == 0, output

    rng, resumed_from = random.Random(0), []
    while read_result(epath.Path(killed), config) is None:
        resumed_from.append(saved(killed))
        process = start(config, killed, cache)
        if len(resumed_from) <= 4:
            # Kills fall anywhere: before the first step, between saves, amid one, after the last.
            wait_for_another_save(killed, process, whole=len(resumed_from) % 2 == 1)
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), output
    assert len(resumed_from) > 1
    assert resumed_from == sorted(resumed_from)
    assert max(resumed_from) > 0
    assert curve(killed) == curve(whole)
    assert [step for step, _ in curve(killed)] == list(range(1, 1201))
    a, b = (read_result(epath.Path(path), config) for path in (killed, whole))
    assert (a.loss, a.loss_stderr, a.train_loss) == (b.loss, b.loss_stderr, b.train_loss)
    (step_a, params_a), (step_b, params_b) = final_params(killed), final_params(whole)
    assert step_a == step_b == 1200
    jax.tree.map(np.testing.assert_array_equal, params_a, params_b)


@pytest.mark.filterwarnings("ignore")
def test_sigterm_saves_and_the_next_start_continues(text, cache, tmp_path):
    config = small_run(text, steps=3000)
    directory = tmp_path / "run"
    process = start(config, directory, cache)
    while not curve(directory) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output
    step, _ = final_params(directory)
    assert f"at step {step} of 3000" in output
    assert 0 < step < 3000
    assert len(curve(directory)) == step


def test_a_run_learns_and_reports_what_it_measured(text, cache, tmp_path):
    config = small_run(text, steps=100)
    result = train_run(config, tmp_path / "run", cache_dir=cache, mesh=one_device(), progress=False)
    assert result.status == "finished"
    assert result.tokens == 100 * 8 * 32
    assert 0 < result.loss < 3
    assert result.loss_stderr > 0
    # One byte a token: bits per byte are the loss over ln 2.
    assert result.bits_per_byte == pytest.approx(result.loss / np.log(2), rel=1e-3)
    rows = read_metrics(epath.Path(tmp_path / "run"))
    assert [row["step"] for row in rows] == list(range(1, 101))
    assert set(rows[0]) >= {"loss", "lr", "grad_norm", "tokens_per_second", "flops_per_second"}
    assert rows[-1]["mfu"] > 0
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_a_finished_run_is_not_trained_again(text, cache, tmp_path):
    config = small_run(text)
    first = train_run(config, tmp_path / "run", cache_dir=cache, mesh=one_device(), progress=False)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    again = train_run(config, tmp_path / "run", cache_dir=cache, mesh=one_device(), progress=False)
    assert again == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_a_non_finite_loss_stops_the_run_and_marks_it_diverged(text, cache, tmp_path):
    config = small_run(text, steps=200, optimizer={"peak_lr": 1e30, "warmup_steps": 0})
    result = train_run(config, tmp_path / "run", cache_dir=cache, mesh=one_device(), progress=False)
    assert result.status == "diverged"
    assert result.loss is None
    assert result.steps < 200
    rows = read_metrics(epath.Path(tmp_path / "run"))
    assert [row["step"] for row in rows] == list(range(1, result.steps + 1))
    assert rows[-1]["loss"] is None or rows[-1]["grad_norm"] is None
    json.loads((tmp_path / "run" / "result.json").read_text(), parse_constant=pytest.fail)


def test_the_same_seed_is_the_same_run_and_another_is_not(text, cache, tmp_path):
    runs = [small_run(text, seed=seed) for seed in (0, 0, 1)]
    losses = [
        train_run(run, tmp_path / str(i), cache_dir=cache, mesh=one_device(), progress=False).loss
        for i, run in enumerate(runs)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_too_short_a_text_is_refused_before_training(text, cache, tmp_path):
    with pytest.raises(InputError, match="repeat"):
        train_run(small_run(text, steps=100_000), tmp_path / "run", cache_dir=cache, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(text, cache, tmp_path):
    config = small_run(text, shape={"vocab_size": 100})
    with pytest.raises(InputError, match="256"):
        train_run(config, tmp_path / "run", cache_dir=cache, progress=False)


def test_a_run_does_not_continue_on_another_text(cache, tmp_path):
    text = write_text(tmp_path / "words.txt")
    config = small_run(text)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data_fingerprint").write_text("that of another text")
    with pytest.raises(InputError, match="fingerprint"):
        train_run(config, tmp_path / "run", cache_dir=cache, progress=False)


def test_a_directory_may_be_relative(text, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_run(text, steps=8)
    train_run(config, "run", cache_dir=cache, progress=False)
    assert read_result(epath.Path(tmp_path / "run"), config).status == "finished"
