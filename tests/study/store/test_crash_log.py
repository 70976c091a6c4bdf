"""A process that crashes leaves a trace; one that is killed from outside leaves none."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

from scaling_jax.study.store.crash_log import CRASH_FILE, crash, crashes_recorded, note_crash

DYING = """
import os, sys
from etils import epath
from scaling_jax.study.store.crash_log import crashes_recorded
with crashes_recorded(epath.Path(sys.argv[1])):
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("signum", "trace"),
    [
        (signal.SIGSEGV, "Fatal Python error: Segmentation fault"),
        (signal.SIGABRT, "Fatal Python error: Aborted"),
        (signal.SIGKILL, None),
        (signal.SIGHUP, None),
    ],
)
def test_a_crash_leaves_a_trace_and_a_kill_none(
    tmp_path: Path, signum: int, trace: str | None
) -> None:
    command = [sys.executable, "-c", DYING, str(tmp_path), str(int(signum))]
    assert subprocess.run(command).returncode == -signum
    assert crash(epath.Path(tmp_path)) == trace


def test_a_block_that_ends_leaves_nothing_and_an_error_in_it_neither(tmp_path: Path) -> None:
    directory = epath.Path(tmp_path)
    with crashes_recorded(directory):
        assert (tmp_path / CRASH_FILE).exists()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="mine"), crashes_recorded(directory):
        raise ValueError("mine")
    assert crash(directory) is None


def test_a_process_that_ends_itself_leaves_its_reason(tmp_path: Path) -> None:
    note_crash(epath.Path(tmp_path), "no progress")
    assert crash(epath.Path(tmp_path)) == "no progress"
