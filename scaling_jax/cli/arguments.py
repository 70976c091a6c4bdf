"""Arguments that several commands share, and the checks on paths to write."""

import ast
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax.errors import InputError
from scaling_jax.execution import Execution

if TYPE_CHECKING:
    from scaling_jax.study import Study

Scale = Literal["full", "cpu", "smoke"]
Count = Literal["total", "non_embedding", "active"]


def optional(help: str, metavar: str | None = None) -> Any:
    """An option whose default is nothing, which its help then need not say."""
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint="")


Json = Annotated[bool, optional("print JSON alone on standard output")]
Experiment = Annotated[
    Path,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="EXPERIMENT",
        help="a Python module that defines a study, or a name that `experiments` lists",
    ),
]
Settings = Annotated[
    tuple[str, ...],
    tyro.conf.UseAppendAction,
    tyro.conf.arg(
        name="set",
        metavar="PATH=VALUE",
        help="a field of the study to change, such as recipe.peak_lr=3e-3; may be repeated",
        help_behavior_hint="",
    ),
]
ScaleOption = Annotated[
    Scale,
    tyro.conf.arg(
        help="which of the module's studies: the published one, one for a CPU, or one of seconds"
    ),
]
MaxFlops = Annotated[
    float | None, optional("refuse a plan that takes more FLOPs than this in all", "C")
]
StoreDirectory = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="DIR", help="a study's directory, or a root that holds one study"),
]
Root = Annotated[
    str, tyro.conf.arg(metavar="DIR", help="where the results go: a directory or a bucket")
]

ExecutionOptions = Annotated[Execution, tyro.conf.OmitArgPrefixes]


def load_study(path: Path, scale: Scale, settings: tuple[str, ...] = ()) -> "Study":
    """The study that `path` defines or names, with `settings` of it changed.

    Raises:
        InputError: no such study, the module cannot be run, or a setting does not do.
    """
    from scaling_jax.study import find_experiment, load_experiment
    from scaling_jax.study.plan.overrides import override

    try:
        return override(load_experiment(find_experiment(path), scale), settings)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"experiment {path} fails: {type(error).__name__}: {error}") from error


def refuse_beyond(study: "Study", max_flops: float | None) -> None:
    """Refuse a study that takes more than a stated budget, in its own convention.

    Raises:
        InputError: with what it takes and the remedy.
    """
    planned = study.flops_spent
    if max_flops is not None and not planned <= max_flops:
        raise InputError(
            f"study {study.name!r} takes {planned:.3g} FLOPs, more than --max-flops "
            f"{max_flops:.3g}: plan fewer or smaller runs, or raise it"
        )


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, float]:
    """Numbers by name from `NAME=VALUE` each.

    Raises:
        InputError: another text.
    """
    given = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            given[name] = float(value)
        except ValueError as error:
            raise InputError(f"{option} {text}: write NAME=NUMBER, such as E=1.69") from error
    return given


def values(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """Values by name from `NAME=VALUE` each, as in Python or else as text.

    Raises:
        InputError: another form.
    """
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(f"{option} {text}: write NAME=VALUE, such as cpus_per_task=2")
        try:
            given[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            given[name] = value
    return given


def refuse_with(reason: str, given: Mapping[str, bool]) -> None:
    """Refuse the first option that was given and has no meaning here.

    Raises:
        InputError: with the reason.
    """
    for option, is_given in given.items():
        if is_given:
            raise InputError(f"{reason}, so {option} does not apply: leave it out")


def check_output(path: Path, endings: tuple[str, ...]) -> None:
    """Refuse a path that cannot be written, before any work is spent on its content.

    Raises:
        InputError: another ending, a directory, or no place to write.
    """
    if path.suffix not in endings:
        raise InputError(f"{path} must end in {' or '.join(endings)}")
    if path.is_dir():
        raise InputError(f"{path} is a directory: name a file in it")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"cannot write {path}: {above} is a file, not a directory")
    if not os.access(above, os.W_OK):
        raise InputError(f"cannot write {path}: {above} is not writable")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write; it takes the place of `path` only when the block succeeds.

    Raises:
        InputError: the file cannot be written.
    """
    temporary = path.parent / f".{path.name}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)
