"""`evaluate` and `sample` on a finished run, and the refusal of a directory that is none."""

import json
import sys
from pathlib import Path

import pytest

from scaling_jax.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from helpers import small_run, write_text

from scaling_jax.train import train_run


def test_a_finished_run_is_evaluated_and_sampled(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "cache"))
    text = write_text(tmp_path / "words.txt", 400)
    result = train_run(small_run(text, steps=6), tmp_path / "run", progress=False)
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "run", "--corpus", f"text:{text}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == result.loss
    assert main(["evaluate", "run"]) == 0
    assert f"loss {result.loss:.4f} ±" in capsys.readouterr().out
    assert main(["sample", "run", "--prompt", "the ", "--n-tokens", "9"]) == 0
    assert capsys.readouterr().out.startswith("the ")
    assert main(["export", "run", "--to", "run"]) == 2
    assert "run is a file or not empty" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_what_is_not_a_run_is_refused(command, tmp_path, capsys) -> None:
    assert main([command, str(tmp_path)]) == 2
    assert "is not the directory of a run" in capsys.readouterr().err
