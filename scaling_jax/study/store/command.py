"""The command that trained a study, kept in its directory for the page's reader."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from etils import epath

from scaling_jax.errors import InputError
from scaling_jax.system.agreement import is_first
from scaling_jax.system.files import as_path, read_text, write_text_atomically

_FILE = "command.txt"


def run_command(
    experiment: os.PathLike[str] | str,
    root: str,
    scale: str = "full",
    settings: Sequence[str] = (),
    until: str | None = None,
) -> str:
    """The command line that trains a study, with the options that its results depend on.

    >>> run_command("mine.py", "my results", settings=["recipe.seed=1"])
    "scaling-jax run mine.py --root 'my results' --set recipe.seed=1"
    """
    words = ["scaling-jax", "run", os.fspath(experiment), "--root", root]
    words += ["--scale", scale] if scale != "full" else []
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--until", until] if until is not None else []
    return shlex.join(words)


@contextmanager
def recorded(directory: os.PathLike[str] | str, command: str) -> Iterator[None]:
    """Keep the command in a study's directory, however training ends.

    A command that is refused is not kept, nor is any before the study is there.
    """
    try:
        yield
    except InputError:
        raise
    except BaseException:
        _keep(as_path(directory), command)
        raise
    _keep(as_path(directory), command)


def _keep(directory: epath.Path, command: str) -> None:
    # A page without the command is better than a study that ends with an error.
    with suppress(OSError):
        if is_first() and (directory / "study.json").exists():
            write_text_atomically(directory / _FILE, command + "\n")


def recorded_command(directory: os.PathLike[str] | str) -> str | None:
    """The command that trained the study in a directory; None where there is none."""
    try:
        return read_text(as_path(directory) / _FILE).strip() or None
    except (OSError, UnicodeDecodeError):
        return None
