from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling_jax import demo

OUTCOME = {
    "predicted": 1.5,
    "measured": 1.512,
    "error_percent": 0.8,
    "interval": [1.49, 1.52],
    "inside_interval": True,
    "params": 115_008,
    "tokens": 6_956_032,
    "fit": {"law": "kaplan-floor"},
    "report": "results/report.html",
    "seconds": 240.0,
}


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The calls of the demo, which returns at once."""
    calls: list[tuple] = []

    def run_demo(root: Any, seed: int = 0, *, progress: bool = True) -> dict[str, Any]:
        calls.append((Path(root), seed))
        return dict(OUTCOME)

    monkeypatch.setattr(demo, "run_demo", run_demo)
    monkeypatch.setattr("scaling_jax.system.compilation.use_compilation_cache", lambda: None)
    return calls


def test_demo_in_words(cli: Callable, requested: list[tuple]) -> None:
    code, out, err = cli("demo")
    assert (code, err) == (0, "")
    assert requested == [(Path("results/demo").absolute(), 0)]
    for part in (
        "kaplan-floor",
        "115,008",
        "1.5000",
        "1.5120, inside",
        "+0.80 %",
        "results/report.html",
    ):
        assert part in out


def test_demo_as_json(cli: Callable, requested: list[tuple], tmp_path: Path) -> None:
    assert cli("demo", "--root", tmp_path, "--seed", 3, "--json").json == OUTCOME
    assert requested == [(tmp_path, 3)]
