"""Results that are not those of their runs: every command names them and leaves them out."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling_jax.study import Store, StoredRun

pytestmark = pytest.mark.usefixtures("svg_alone")

FIT = ("--bootstrap", 0)


def edit(run: StoredRun, **changes: Any) -> None:
    path = run.directory / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def swap(one: StoredRun, other: StoredRun) -> None:
    paths = [run.directory / "result.json" for run in (one, other)]
    texts = [path.read_text() for path in paths]
    for path, text in zip(paths, reversed(texts), strict=True):
        path.write_text(text)


def tamper(runs: list[StoredRun]) -> set[str]:
    """Four tamperings of five results; the ids of their runs."""
    swap(runs[0], runs[11])
    edit(runs[2], tokens=10 * runs[2].planned.config.tokens)
    edit(runs[3], steps=10, tokens=10 * runs[3].planned.config.tokens_per_step)
    edit(runs[4], loss=2.0)
    return {run.run_id for run in (runs[0], runs[11], *runs[2:5])}


def test_tampered_results_are_named_and_left_out(
    cli: Callable, store: Store, tmp_path: Path
) -> None:
    runs = store.runs()
    tampered = tamper(runs)
    fitted = cli("fit", store.directory, "--json", *FIT)
    collected = cli("collect", store.directory, "--out", tmp_path / "runs.csv")
    status = cli("status", store.directory, "--law", "none")
    assert (fitted.code, collected.code, status.code) == (0, 0, 0)
    for run_id in tampered:
        assert fitted.err.count(f"warning: run {run_id} is left out: result.json") == 1
        assert f"run {run_id} is left out: result.json" in collected.err
        assert f"failed: {run_id}: result.json" in status.out
    assert fitted.json["n_points"] == 12 - len(tampered)
    # The noise-free law is found without the runs that were tampered with.
    assert fitted.json["params"]["E"] == pytest.approx(1.5, rel=1e-3)


def test_damaged_curves_are_named_and_left_out(cli: Callable, store: Store) -> None:
    damaged = store.runs()[1]
    path = damaged.directory / "metrics.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:-2]))
    fitted = cli("fit", store.directory, "--approach", "all", *FIT)
    assert f"warning: the curve of run {damaged.run_id} is left out" in fitted.err


def test_a_run_without_its_plan_is_named(cli: Callable, store: Store) -> None:
    run = store.runs()[1]
    (run.directory / "plan.json").unlink()
    for command, *options in (("status", "--law", "none", "--json"), ("fit", *FIT)):
        outcome = cli(command, store.directory, *options)
        assert outcome.code == 0
        assert run.run_id in outcome.out + outcome.err


@pytest.fixture
def read_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in a directory that refuses every write, whoever the user is."""
    for run in store.runs():
        (run.directory / ".lock").write_text("")
    usual, writing = os.open, os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    def refusing(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if str(store.directory) in os.fspath(path) and flags & writing:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return usual(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    return store


def test_a_read_only_store_can_be_read(cli: Callable, read_only: Store, tmp_path: Path) -> None:
    directory = read_only.directory
    assert "planned" in {run.state for run in read_only.runs()}
    for command, *options in (
        ("status", "--law", "none"),
        ("collect", "--out", tmp_path / "runs.csv"),
        ("fit", *FIT),
        ("report", "--out", tmp_path / "report.html"),
    ):
        outcome = cli(command, directory, *options)
        assert outcome.code == 0, outcome.err
