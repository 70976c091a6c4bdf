"""The git commit of this package's source."""

import subprocess
from functools import cache
from pathlib import Path
from typing import TypedDict


class CodeState(TypedDict, total=False):
    """The commit of the clone that holds this package, and whether its files have changed since.

    It is empty for a package that is not in a clone.
    """

    commit: str
    changed: bool


@cache
def code_state() -> CodeState:
    """The state of this package's source at the first call in this process.

    It is cached, because modules that are already imported do not change with their files.
    """
    return state_of(Path(__file__).parents[1])


def state_of(package: Path) -> CodeState:
    """The state of the source in the directory `package`."""
    try:
        # A clone may contain the virtual environment of this package without tracking it.
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(package, "rev-parse", "HEAD")
        changes = _git(package, "status", "--porcelain", "--untracked-files=all", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "changed": bool(changes)}


def _git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()
