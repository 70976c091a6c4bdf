import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import NoReturn

import pytest

from scaling_jax.cli import app
from scaling_jax.cli.exits import CommandFailed, Stopped, resumable
from scaling_jax.cli.running import _print_ending
from scaling_jax.study.status.ending import Ending
from scaling_jax.system.preemption import Preempted


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch, cli: Callable) -> Callable:
    """Run a command that raises the given exception."""

    def run(error: BaseException) -> tuple[int, str, str]:
        def command() -> NoReturn:
            with resumable():
                raise error

        monkeypatch.setattr(app, "COMMANDS", {"command": command, "other": command})
        return cli("command")

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Preempted("saved; run the same command to continue"), 75),
        (CommandFailed("2 of 3 runs failed"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_outcomes_have_their_own_codes(
    ends_with: Callable, error: BaseException, code: int
) -> None:
    ended, out, err = ends_with(error)
    assert (ended, out) == (code, "")
    assert err.count("\n") == 1
    assert str(error) in err


def test_unexpected_failure_is_one_line(ends_with: Callable) -> None:
    code, out, err = ends_with(RuntimeError("first\nsecond"))
    assert (code, out) == (1, "")
    assert err.startswith("RuntimeError: first")
    assert err.count("\n") == 1


def test_traceback_when_asked_for(ends_with: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALING_JAX_TRACEBACK", "1")
    code, _, err = ends_with(RuntimeError("deep down"))
    assert code == 1
    assert "Traceback" in err


GROUPED = [[name, second] for name, group in app.GROUPS.items() for second in group]


@pytest.mark.parametrize("command", [(), *([name] for name in app.COMMANDS), *GROUPED])
def test_help_of_every_command(cli: Callable, command: list[str]) -> None:
    code, out, err = cli(*command, "--help")
    assert (code, err) == (0, "")
    assert "usage: scaling-jax" in out


def test_version(cli: Callable) -> None:
    import scaling_jax

    assert cli("--version") == (0, scaling_jax.__version__ + "\n", "")
    as_module = subprocess.run(
        [sys.executable, "-m", "scaling_jax", "--version"], capture_output=True, text=True
    )
    assert (as_module.returncode, as_module.stdout) == (0, scaling_jax.__version__ + "\n")


def test_a_run_held_in_a_bucket_is_no_success(capsys) -> None:
    run = SimpleNamespace(state="running", check_result=lambda: None)
    store = SimpleNamespace(runs=lambda: [run], problems_of=lambda found: [])
    store.directory = "gs://bucket/results/study"
    with pytest.raises(Stopped, match=r"1 of 1 runs are held .* run the same command again"):
        _print_ending(Ending.of(store), json=False)
    store.directory = "/results/study"  # the kernel frees the runs of a dead process
    _print_ending(Ending.of(store), json=False)
