"""A user's Python file as a module: an experiment, or a law written as a function."""

import functools
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TypeVar

from scaling_jax.errors import InputError, suggestion

T = TypeVar("T")


class _FromSource(SourceFileLoader):
    """Reads a file's source at every load, neither reading nor writing bytecode.

    Python takes bytecode for that of the source where both have one time to the second and one
    size, so that a file changed twice in a second could run as it had been before.
    """

    def path_stats(self, path: str) -> NoReturn:
        """No time and size of the source, without which no bytecode is used."""
        raise OSError(f"{path} is loaded without bytecode")


def load_module(path: Path, role: str) -> ModuleType:
    """Run the Python file at `path` and return it as a module named `{role}_{stem}`.

    The file can import the Python files beside it, as a script can.

    Args:
        path: the file.
        role: what the file defines, such as `experiment` or `law`. Messages name it.

    Raises:
        InputError: no such file, or the file does not run, with the line where it fails.
    """
    if not path.is_file():
        raise InputError(
            f"{role} {path} does not exist: {path} is not a file; give a Python file that ends "
            "in .py"
        )
    if path.suffix != ".py":
        raise InputError(f"{role} {path} is not a Python file: give one that ends in .py")
    name = f"{role}_{path.stem}"
    loader = _FromSource(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks up its module here while the file runs.
    sys.modules[name] = module
    try:
        with redirect_stdout(sys.stderr), _neighbours(path.absolute().parent):
            loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line, reason = _failure(error, module.__file__)
        raise InputError(f"{role} {path}{line}: {reason}") from error
    return module


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Let imports in the block find the Python files in `folder`, and no others of their names.

    Afterwards they are forgotten, so that a file elsewhere gets its own neighbours. No bytecode is
    written beside them, which could be taken for that of a file changed in the same second.
    """
    names = {path.stem for path in folder.glob("*.py")} - sys.stdlib_module_names

    def forget() -> dict[str, ModuleType]:
        found = [name for name in sys.modules if name.partition(".")[0] in names]
        return {name: sys.modules.pop(name) for name in found}

    others = forget()
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_none
        with suppress(ValueError):  # The file may have changed the path.
            sys.path.remove(str(folder))
        forget()
        sys.modules.update(others)


@contextmanager
def running(what: str) -> Iterator[None]:
    """Run a user's functions in the block: what they print goes to standard error.

    Standard output is for results only, which another program may read.

    Args:
        what: the functions, for the message.

    Raises:
        InputError: a function ends the program, as `exit()` and `sys.exit("why")` do.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except SystemExit as end:
        raise InputError(f"{what} ends the program: {_exit_reason(end)}") from end


def shielded(function: Callable[..., T]) -> Callable[..., T]:
    """A user's `function` as `running` runs it, with the same signature."""

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> T:
        with running(f"the function {getattr(function, '__name__', function)!r}"):
            return function(*args, **named)

    return run


def member(module: ModuleType, name: str) -> object:
    """The object that a loaded module calls `name`.

    Raises:
        InputError: the module has no such name; the message lists the names the file defines.
    """
    if not hasattr(module, name):
        raise InputError(f"{module.__file__} has no {name!r}{suggestion(name, _defined(module))}")
    return getattr(module, name)


def digest(path: Path) -> str:
    """The SHA-256 of a file, which shows whether the file has changed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _defined(module: ModuleType) -> list[str]:
    """Names of the functions and objects that the file made itself, not of what it imported."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType | type)
        and not (callable(value) and getattr(value, "__module__", None) != module.__name__)
    ]


def _failure(error: BaseException, file: str | None) -> tuple[str, str]:
    """The line of `file` that failed, as far as it is known, and the error in one line."""
    if isinstance(error, SystemExit):
        return _line(error, file), f"the file ends the program: {_exit_reason(error)}"
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}", f"SyntaxError: {error.msg}"
    first = next(iter(str(error).splitlines()), "")
    reason = first if isinstance(error, InputError) else f"{type(error).__name__}: {first}"
    return _line(error, file), reason


def _line(error: BaseException, file: str | None) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


def _exit_reason(end: SystemExit) -> str:
    if isinstance(end.code, str):
        return end.code
    return f"exit({'' if end.code is None else end.code}) must not be called; remove it"
