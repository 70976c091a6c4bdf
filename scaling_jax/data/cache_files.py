"""Files of a cache of tokens: read, refused when damaged, and warnings about new ones."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from etils import epath
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.data.round_trip import RoundTrip
from scaling_jax.errors import InputError
from scaling_jax.system.files import read_text

T = TypeVar("T")

META = "meta.json"


def stored(kind: type[T], path: epath.Path) -> T:
    """The dataclass that a JSON file of a cache holds.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return from_dict(kind, parsed_json(read_text(path), path.name), path.name)
    except (OSError, ValueError) as error:
        raise damaged(path, getattr(error, "strerror", None) or str(error)) from error


def damaged(path: epath.Path, problem: str) -> InputError:
    """The error that a file of a cache is damaged, with the remedy."""
    return InputError(
        f"{path} is damaged ({problem}): delete {path.parent}, and the text is tokenized again"
    )


def check_long_enough(corpus: str, train: int, held_out: int, held_out_fraction: float) -> None:
    """Refuse a corpus without tokens on one side of the split.

    Raises:
        InputError: no held-out tokens, or no training tokens although not all text is held out.
    """
    if not held_out or (not train and held_out_fraction < 1):
        raise InputError(
            f"corpus {corpus!r} is too short: {train} training and {held_out} held-out tokens; "
            "use more documents"
        )


def warn_of_replaced(corpus: str, replaced: int) -> None:
    """Print a line if characters could not be decoded."""
    if replaced:
        print(
            f"corpus {corpus!r}: {replaced:,} characters could not be decoded and are now "
            "U+FFFD, the replacement character; convert the files to UTF-8 to keep them",
            file=sys.stderr,
        )


def warn_of_loss(measured: RoundTrip, tokenizer: str) -> None:
    """Print a line if the tokenizer does not give back the held-out text."""
    if not measured.is_lossless:
        described = measured.describe(tokenizer)
        print(f"warning: {described}; bits per byte are left out", file=sys.stderr)


@contextmanager
def progress_line(label: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of bytes of each document.

    The progress is drawn on standard error if `shown` and standard error is a terminal.
    """
    console = Console(file=sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=None)
        yield lambda n_bytes: bar.advance(task, n_bytes)
