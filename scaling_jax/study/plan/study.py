"""Study: a name, a recipe and a design; an experiment file is a module that defines one."""

import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from scaling_jax.config.strict import stored_fields
from scaling_jax.errors import InputError
from scaling_jax.study.plan.branched import Branched
from scaling_jax.study.plan.design import Design, PlannedRun
from scaling_jax.study.plan.recipe import Recipe
from scaling_jax.study.plan.sweep import ShapeGrid, Sweep

Scale = Literal["full", "cpu", "smoke"]

# The name a module gives the study of each scale.
SCALES: dict[Scale, str] = {"full": "study", "cpu": "cpu", "smoke": "smoke"}


@dataclass(frozen=True)
class Study:
    """What is trained, and how."""

    name: str
    recipe: Recipe
    design: Design | ShapeGrid | Branched | Sweep

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise InputError(
                f"study name {self.name!r}: use letters, digits, dots, dashes and underscores, "
                "because it names a directory"
            )

    def plan(self) -> tuple[PlannedRun, ...]:
        """Every run, cheapest first, each once."""
        return self._planned

    @functools.cached_property
    def _planned(self) -> tuple[PlannedRun, ...]:
        runs = {run.config.run_id: run for run in self.design.runs(self.recipe)}
        return tuple(sorted(runs.values(), key=lambda run: (run.flops, run.config.run_id)))

    def describe(self) -> dict[str, Any]:
        """The study as plain data, for `study.json` and reports."""
        return {
            "name": self.name,
            "recipe": stored_form(self.recipe),
            "design": stored_form(self.design),
            "recipe_hash": self.recipe_hash,
        }

    @property
    def recipe_hash(self) -> str:
        """Identity of the recipe: studies with the same one can share a store."""
        text = json.dumps(stored_form(self.recipe), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def stored_form(value: Any) -> Any:
    """Dataclasses as mappings that name their class, all the way down, and functions by source.

    Raises:
        InputError: another object, which nothing says when it is the same.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {name: stored_form(field) for name, field in stored_fields(value).items()}
        return {"is": type(value).__name__, **named}
    if isinstance(value, dict):
        return {key: stored_form(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [stored_form(item) for item in value]
    if inspect.isfunction(value):
        return {"is": "function", "name": value.__qualname__, "source": _source(value)}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays.
        return value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InputError(
        f"a study is stored as text, which {value!r} has none of: make it a frozen dataclass, or a "
        "function"
    )


def _source(function: Callable) -> str:
    """A digest of what a function does, as far as its source says it."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise InputError(
            f"the source of {function.__qualname__} is not in a file, by which a study would know "
            "it: define it in a module, or make it a frozen dataclass with __call__"
        ) from error
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def load_experiment(path: str | Path, scale: Scale = "full") -> Study:
    """The study that the Python module at `path` defines for `scale`.

    Raises:
        InputError: no such file, one that does not run (naming the line), or one that defines
            no study of that scale.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"experiment {path} does not exist: give a Python file")
    return study_of(run_module(path), path, scale)


def study_of(module: ModuleType, path: Path, scale: Scale) -> Study:
    """The study of `scale` that the module at `path` defines.

    Raises:
        InputError: it defines none.
    """
    study = getattr(module, SCALES[scale], None)
    if not isinstance(study, Study):
        defined = [name for name, attribute in SCALES.items() if hasattr(module, attribute)]
        raise InputError(
            f"experiment {path} defines no scaling_jax Study named {SCALES[scale]!r} for scale "
            f"{scale!r}: it has {', '.join(defined) or 'none'}"
        )
    return study


def run_module(path: Path) -> ModuleType:
    """The Python module at `path`, run.

    Raises:
        InputError: it does not run, naming the line.
    """
    name = f"experiment_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"experiment {path} is not a Python file: give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses defined in the experiment look their module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"experiment {path}{_what_failed(error, module.__file__)}") from error
    return module


def _what_failed(error: Exception, file: str | None) -> str:
    """The line of `file` where an error arose, as far as that is known, and the error."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}: SyntaxError: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    where = f", line {lines[-1]}" if lines else ""
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return f"{where}: {kind}{error}"
