"""Study: a name, a recipe and a design; an experiment file is a module that defines one."""

import dataclasses
import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scaling_jax.errors import InputError
from scaling_jax.study.design import Design, PlannedRun
from scaling_jax.study.recipe import Recipe

Scale = Literal["full", "cpu", "smoke"]

# The name a module gives the study of each scale.
SCALES: dict[Scale, str] = {"full": "study", "cpu": "cpu", "smoke": "smoke"}


@dataclass(frozen=True)
class Study:
    """What is trained, and how."""

    name: str
    recipe: Recipe
    design: Design

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise InputError(
                f"study name {self.name!r}: use letters, digits, dots, dashes and underscores, "
                "because it names a directory"
            )

    def plan(self) -> tuple[PlannedRun, ...]:
        """Every run, cheapest first, each once."""
        runs = {run.config.run_id: run for run in self.design.runs(self.recipe)}
        return tuple(sorted(runs.values(), key=lambda run: (run.flops, run.config.run_id)))

    def describe(self) -> dict[str, Any]:
        """The study as plain data, for `study.json` and reports."""
        return {
            "name": self.name,
            "recipe": plain(self.recipe),
            "design": plain(self.design),
            "recipe_hash": self.recipe_hash,
        }

    @property
    def recipe_hash(self) -> str:
        """Identity of the recipe: studies with the same one can share a store."""
        text = json.dumps(plain(self.recipe), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Dataclasses as mappings that name their class, all the way down."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, **named}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def load_experiment(path: str | Path, scale: Scale = "full") -> Study:
    """The study that the Python module at `path` defines for `scale`.

    Raises:
        InputError: no such file, or it defines no study of that scale.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"experiment {path} does not exist: give a Python file")
    spec = importlib.util.spec_from_file_location(f"experiment_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"experiment {path} is not a Python file: give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    study = getattr(module, SCALES[scale], None)
    if not isinstance(study, Study):
        defined = [name for name, attribute in SCALES.items() if hasattr(module, attribute)]
        raise InputError(
            f"experiment {path} defines no scaling_jax Study named {SCALES[scale]!r} for scale "
            f"{scale!r}: it has {', '.join(defined) or 'none'}"
        )
    return study
