"""Which state of its source this package runs from."""

import subprocess
from functools import cache
from pathlib import Path
from typing import TypedDict


class CodeState(TypedDict, total=False):
    """Commit of the clone this package lies in, and whether its files there were changed since.

    Empty where it was installed from elsewhere; the package's version then says all there is.
    """

    commit: str
    changed: bool


@cache
def code_state() -> CodeState:
    """The state when first asked, since what is imported does not change with the files."""
    return state_of(Path(__file__).parents[1])


def state_of(package: Path) -> CodeState:
    """The state of the source in the directory `package`."""
    try:
        # A clone that merely holds the environment it is installed in does not track it.
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
