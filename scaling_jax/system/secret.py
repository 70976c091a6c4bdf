"""A secret of the user, by which the processes of a run know one another."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from scaling_jax.errors import InputError
from scaling_jax.system.environment import default_cache_dir

# A secret that all processes of a run are started with, where they do not share the file.
VARIABLE = "SCALING_JAX_TOKEN"
_FILE = "connection-secret"


def secret_file() -> Path:
    """The file with the secret, in the directory of caches."""
    return default_cache_dir() / _FILE


def shared_secret() -> str:
    """`$SCALING_JAX_TOKEN`, or the secret in `secret_file`, which the first call makes.

    Processes of one user share the file on one machine, and on several that share the home
    directory. The secret is empty where no file can be made.

    Raises:
        InputError: others can read the file, or it is not a file of this user.
    """
    if given := os.environ.get(VARIABLE):
        return given
    path = secret_file()
    with suppress(OSError):
        _make(path)
    try:
        found = path.lstat()
    except OSError:
        return ""
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InputError(
            f"{path} holds a secret, but it is not a file that this user alone can read: delete "
            "it, and another is made"
        )
    return path.read_text(encoding="utf-8")


def _make(path: Path) -> None:
    """Make the file whole and at once, unless another process has made it."""
    if path.is_symlink() or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
