"""`run --until` reads its goal and says how it ended."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling_jax.study import Store
from scaling_jax.study.execution import adaptive

EXPERIMENT = "experiments/chinchilla_isoflop.py"


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("params", "QUANTITY@FLOPS:WIDTH"),
        ("params@much:2", "QUANTITY@FLOPS:WIDTH"),
        ("depth@1e20:2", "must be one of params, tokens, loss"),
        ("params@1e20:0.5", "width 0.5 must be above 1"),
    ],
)
def test_a_goal_that_means_nothing_is_refused(
    cli: Callable, tmp_path: Path, goal: str, message: str
) -> None:
    code, _, err = cli("run", EXPERIMENT, "--root", tmp_path / "r", "--until", goal)
    assert code == 2
    assert message in err
    assert not (tmp_path / "r").exists()


def test_a_goal_that_was_not_reached_is_a_failure_that_says_where_it_stands(
    cli: Callable, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = adaptive.AdaptiveResult(store, None, None, (), 1e10, 2e10)
    monkeypatch.setattr(adaptive, "run_until", lambda *args, **options: ended)
    message = cli("run", EXPERIMENT, "--root", tmp_path, "--until", "params@1e20:1.5", "--json")
    assert message.code == 1
    assert message.json["reached"] is False
    assert "no law could be fitted" in message.err
