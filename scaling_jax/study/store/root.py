"""Checks of the directory that a study is to be stored in."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etils import epath

from scaling_jax.config.evaluation import CURVE_SHARE
from scaling_jax.config.strict import parsed_json
from scaling_jax.errors import InputError
from scaling_jax.study.plan.difference import Difference, differences, sentence
from scaling_jax.study.plan.study import Study
from scaling_jax.system.buckets import in_bucket
from scaling_jax.system.files import read_text

FORMAT = 2

# Defaults that have changed: what stored recipes have that were written without the field, and how
# to write each; and what such a recipe has now.
_EARLIER_DEFAULTS: dict[str, tuple[dict[Any, str], Any]] = {
    "recipe.eval_tokens": ({131_072: "eval_tokens=131_072"}, None),
    "recipe.eval_every.share": (
        {None: "LogSpaced(share=None)", 0.1: "LogSpaced(share=0.1)"},
        CURVE_SHARE,
    ),
}

_FIELDS = {"name": str, "recipe": dict, "design": dict, "recipe_hash": str}


def read_study_json(directory: epath.Path) -> dict[str, Any]:
    """The contents of `study.json` in a study's directory.

    Raises:
        InputError: the file is damaged, or of another format.
    """
    path = directory / "study.json"
    try:
        described = parsed_json(read_text(path), "the text")
        version = _field(described, "format", int)
        if version == FORMAT:
            for name, kind in _FIELDS.items():
                _field(described, name, kind)
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is damaged ({getattr(error, 'strerror', None) or error}): restore it, or "
            "delete it and run the experiment again, which writes it again"
        ) from error
    if version != FORMAT:
        raise InputError(
            f"{directory} has store format {version}, but this package reads {FORMAT}: use the "
            "package version that wrote it, or choose another root"
        )
    return described


def _field(described: Any, name: str, kind: type) -> Any:
    if not isinstance(described, dict):
        raise InputError(f"it holds a {type(described).__name__}, not an object")
    if not isinstance(described.get(name), kind):
        raise InputError(f"its field {name!r} is no {kind.__name__}")
    return described[name]


def refuse_another_study(root: epath.Path, study: Study) -> None:
    """Refuse a root that holds another study where `study` would be stored.

    Raises:
        InputError: naming the other study.
    """
    if (root / "study.json").exists():
        raise InputError(
            f"{root} belongs to the study {read_study_json(root)['name']!r}: give its parent as "
            "the root, or another directory"
        )
    if not (root / study.name / "study.json").exists():
        return
    theirs = read_study_json(root / study.name)
    if theirs["recipe_hash"] != study.recipe_hash:
        found = differences(theirs["recipe"], study.describe()["recipe"], "recipe")
        raise InputError(
            f"{root / study.name} belongs to a study {study.name!r} with another recipe "
            f"({sentence(found)}): {_earlier_defaults(found)}choose another root, or another name "
            "(--set name=NAME)"
        )


def _earlier_defaults(found: Sequence[Difference]) -> str:
    """How to continue a study whose recipe differs by defaults alone, which have changed since."""
    written = []
    for each in found:
        earlier, now = _EARLIER_DEFAULTS.get(each.field, ({}, None))
        if each.ours not in earlier or each.theirs != now:
            return ""
        written.append(earlier[each.ours])
    return (
        f"to continue it, write {' and '.join(written)} in the recipe, which was the default when "
        "the study was made; or "
    )


def refuse_unwritable(root: epath.Path) -> None:
    """Refuse a local root where no directory can be created.

    Raises:
        InputError: naming what stands in the way.
    """
    if in_bucket(root):
        return
    path = Path(os.fspath(root)).absolute()
    above = next(folder for folder in (path, *path.parents) if folder.exists())
    if not above.is_dir():
        raise InputError(f"cannot write to {root}: {above} is a file; choose another root")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {root}: {above} is not writable; choose another root")
