"""Hashes of the files of a corpus; an object in a bucket is read once for its hash."""

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath

from scaling_jax.data.place import place
from scaling_jax.data.shared_work import share_out
from scaling_jax.errors import InputError
from scaling_jax.system.files import as_path, names, write_text_atomically

_BLOCK = 2**20


@dataclass(frozen=True)
class File:
    """A file of a corpus.

    Attributes:
        path: local or in a bucket.
        size: bytes.
        version: what the bucket calls this content of the object, such as its ETag; empty for a
            local file, or where it is unknown.
    """

    path: epath.Path
    size: int
    version: str = ""


def object_file(url: str, facts: Mapping[str, Any]) -> File:
    """An object of a bucket, from what fsspec lists of it."""
    known = (facts.get(key) for key in ("etag", "ETag", "md5Hash"))
    version = next((str(value) for value in known if value), "")
    return File(epath.Path(url), int(facts.get("size") or 0), version)


def fingerprint_of(files: list[File], cache_dir: os.PathLike | str | None) -> str:
    """A hash of the contents of files, in their order.

    The hashes of objects of known version are kept in `cache_dir`. Processes that train together
    each compute a share of them if that is a bucket.

    Raises:
        InputError: a file that cannot be read.
    """
    if all(file.version for file in files):
        return _of_versions(tuple(files), os.fspath(place(cache_dir).directory / "digests"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(_sha256(file))
    return digest.hexdigest()


@functools.cache
def _of_versions(files: tuple[File, ...], kept_in: str) -> str:
    folder = as_path(kept_in)
    keys = [_key(file) for file in files]
    computed: dict[str, str] = {}

    def known() -> dict[str, str]:
        # The name of a file holds the hash, so that one listing gives all.
        pairs = (name.split("-") for name in names(folder) if name.count("-") == 1)
        return {key: digest for key, digest in pairs if len(digest) == 64} | computed

    def done() -> set[int]:
        there = known()
        return {i for i, key in enumerate(keys) if key in there}

    def compute(i: int) -> None:
        computed[keys[i]] = _sha256(files[i]).hex()
        _keep(folder, f"{keys[i]}-{computed[keys[i]]}", os.fspath(files[i].path))

    share_out(len(files), done, compute)
    there, digest = known(), hashlib.sha256()
    for key in keys:
        digest.update(bytes.fromhex(there[key]))
    return digest.hexdigest()


def _key(file: File) -> str:
    identity = f"{os.fspath(file.path)}\n{file.size}\n{file.version}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _keep(folder: epath.Path, name: str, path: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(folder / name, f"{path}\n")
    except OSError as error:
        raise InputError(
            f"cannot write the token cache {folder.parent} ({error.strerror or error}): "
            "name a cache that can be written"
        ) from error


def _sha256(file: File) -> bytes:
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        problem = error.strerror or error
        raise InputError(f"cannot read {file.path} ({problem}): check the file") from error
    return digest.digest()
