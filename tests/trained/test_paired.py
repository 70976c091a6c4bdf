"""Two runs are compared in pairs on the same windows, or refused with the reason."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scaling_jax as sj
from scaling_jax.cli import main
from scaling_jax.errors import InputError
from scaling_jax.runs.details import DETAILS_FILE
from scaling_jax.train import train_run
from scaling_jax.trained.paired import paired_difference


@pytest.fixture(scope="module")
def runs(directory, tmp_path_factory):
    """Directories of a run, of a run with details and another seed, and of one with less text."""
    root, plain = tmp_path_factory.mktemp("pairs"), sj.load_run(directory).config
    train_run(replace(plain, seed=1, eval_details=True), root / "details", progress=False)
    train_run(replace(plain, eval_tokens=1024), root / "less", progress=False)
    return directory, root / "details", root / "less"


def test_pairs_have_the_recorded_losses(runs):
    found = sj.compare_runs(runs[0], runs[1])
    a, b = (sj.load_run(path).result.loss for path in runs[:2])
    assert (found.loss_a, found.loss_b) == (a, b)
    assert found.difference == pytest.approx(a - b, abs=1e-12)
    assert found.low < found.difference < found.high
    assert found.n_windows == 64


def test_details_are_measured_again_to_the_last_bit(runs):
    run = sj.load_run(runs[1])
    stored = run.details()
    file = runs[1] / DETAILS_FILE
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="delete it to measure its losses again"):
        run.details()
    file.unlink()
    measured = run.details()
    file.write_bytes(content)
    for field in ("window_N", "position_T", "position_stderr_T"):
        np.testing.assert_array_equal(getattr(measured, field), getattr(stored, field))
    assert measured.windows == stored.windows
    with pytest.raises(InputError, match="has no held-out set 'held-out'"):
        run.details("held-out")


def test_other_windows_are_refused_with_what_differs(runs):
    with pytest.raises(InputError, match="in pairs: eval_tokens 2048 and 1024"):
        sj.compare_runs(runs[0], runs[2])


def test_the_interval_holds_the_truth_where_neighbours_are_alike():
    # Windows of one source are alike: 64 sources of 32 windows each.
    rng, hits, narrow = np.random.default_rng(0), 0, 0
    for _ in range(400):
        source_N = np.repeat(rng.normal(0, 0.05, 64), 32)
        found = paired_difference(0.02 + source_N + rng.normal(0, 0.1, 2048), np.zeros(2048))
        hits += found.low < 0.02 < found.high
        narrow += abs(found.difference - 0.02) < 1.645 * found.stderr_windows
    assert 0.87 < hits / 400 < 0.95
    assert narrow / 400 < 0.6
    with pytest.raises(InputError, match="raise eval_tokens"):
        paired_difference(np.ones(1), np.ones(1))


def test_the_command_line_compares_and_writes_losses_by_position(runs, tmp_path, capsys):
    assert main(["compare", str(runs[0]), str(runs[1]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] == sj.compare_runs(runs[0], runs[1]).difference
    path = tmp_path / "positions.csv"
    assert main(["evaluate", str(runs[1]), "--positions", str(path)]) == 0
    assert list(pd.read_csv(path)["position"]) == list(range(1, 33))
