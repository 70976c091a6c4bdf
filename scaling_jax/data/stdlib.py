"""The corpus `stdlib`: the sources of the running Python's standard library."""

import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from scaling_jax.data.corpus import Corpus

_LEFT_OUT = {"site-packages", "dist-packages", "__pycache__", "lib2to3", "test", "tests"}


def load() -> Corpus:
    """The corpus `stdlib`: one document per source file, without tests."""
    version = f"{platform.python_implementation()}-{platform.python_version()}"
    return Corpus("stdlib", f"stdlib-{version}", documents)


def documents() -> Iterator[str]:
    """Source files in the order of their paths."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if path.is_file() and not _LEFT_OUT.intersection(path.relative_to(root).parts):
            yield path.read_text(encoding="utf-8", errors="replace")
