"""Paths in object stores: the package that opens each, without a cache of listings."""

import functools
import importlib.util
import os

from scaling_jax.errors import InputError

# The extra that installs the package for each scheme.
_PACKAGES = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}


def in_bucket(path: os.PathLike | str) -> bool:
    """Whether the path is in an object store, which supports neither locks nor appending."""
    return "://" in os.fspath(path)


def check_scheme(path: os.PathLike | str) -> None:
    """Prepare for paths of the scheme of `path`; a local path needs nothing.

    Raises:
        InputError: an unknown scheme, or one whose package is not installed.
    """
    if in_bucket(path):
        _prepare(os.fspath(path).partition("://")[0])


@functools.cache
def _prepare(scheme: str) -> None:
    if scheme not in _PACKAGES:
        raise InputError(
            f"{scheme}:// paths are not supported: use gs://, s3:// or a mounted directory"
        )
    package, extra = _PACKAGES[scheme]
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"{scheme}:// paths need the package {package}: pip install 'scaling_jax[{extra}]'"
        )
    import fsspec.config

    # With its cache of listings, a process would not see what others have written since, and would
    # read an object that has grown only up to its old size.
    fsspec.config.conf.setdefault(scheme, {}).setdefault("use_listings_cache", False)
