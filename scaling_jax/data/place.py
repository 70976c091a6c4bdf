"""Where tokens are kept: a directory of this machine, or a bucket that many hosts share."""

import math
import os
from dataclasses import dataclass

from etils import epath

from scaling_jax.data.corpus import split_options
from scaling_jax.errors import InputError
from scaling_jax.system.buckets import in_bucket
from scaling_jax.system.environment import default_cache_dir
from scaling_jax.system.files import as_path

# Bytes of tokens from a bucket that a process keeps in its memory.
MEMORY = 2**30
_LEAST_MEMORY = 2**20


@dataclass(frozen=True)
class Place:
    """A directory of caches, and the memory with which tokens are read from a bucket.

    Attributes:
        directory: where the caches are.
        memory: bytes of tokens that a process keeps in memory, where the directory is in a bucket.
    """

    directory: epath.Path
    memory: int = MEMORY

    @property
    def is_shared(self) -> bool:
        """Whether the tokens are in a bucket, from which every host reads them."""
        return in_bucket(self.directory)


def place(cache_dir: os.PathLike | str | None) -> Place:
    """The place that `cache_dir` names: a directory, or `gs://BUCKET/PATH?memory=BYTES`.

    None is the user's cache on this machine.

    >>> place("gs://bucket/tokens?memory=5e8").memory
    500000000

    Raises:
        InputError: a bucket whose package is not installed, an unknown option, less than 1 MiB of
            memory, or memory for a directory, whose tokens are memory-mapped.
    """
    if not cache_dir:
        return Place(epath.Path(default_cache_dir()))
    name = os.fspath(cache_dir)
    if not in_bucket(name):
        if "?memory=" in name:
            raise InputError(
                f"memory has no effect in {name}, since tokens in a directory are memory-mapped: "
                "leave it out, or name a bucket"
            )
        return Place(epath.Path(os.path.expanduser(name)))  # noqa: PTH111
    path, options = split_options(name, {"memory": str(MEMORY)})
    return Place(as_path(path.rstrip("/")), _memory(name, options["memory"]))


def _memory(name: str, text: str) -> int:
    try:
        memory = float(text)
    except ValueError:
        memory = math.nan
    if not _LEAST_MEMORY <= memory < math.inf:
        raise InputError(
            f"{name}: memory {text!r} must be a number of bytes of at least {_LEAST_MEMORY:,}, "
            "such as 1e9"
        )
    return int(memory)
