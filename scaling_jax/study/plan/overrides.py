"""Changes to a study, written as text: `recipe.peak_lr=3e-3`."""

import ast
import contextlib
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from scaling_jax.config.strict import from_dict, require_one_of
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.branched import Branched
from scaling_jax.study.plan.design import Design, FixedModels, IsoFlop, ShapeGrid
from scaling_jax.study.plan.extrapolation import Extrapolation
from scaling_jax.study.plan.fields import CONSTANT_RULES, as_rule, replaced
from scaling_jax.study.plan.published_rules import (
    DeepSeekBatch,
    DeepSeekLR,
    HoffmannLR,
    KaplanLR,
    PorianBatch,
    PorianLR,
    StepLawBatch,
    StepLawLR,
)
from scaling_jax.study.plan.rules import (
    BatchRule,
    ComputeLR,
    ConstantBatch,
    ConstantLR,
    LearningRateRule,
    PowerLawBatch,
    PowerLawLR,
    ScaledByBatch,
)
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.sweep import Sweep


def override(study: Study, settings: Sequence[str]) -> Study:
    """A copy of `study` with each `PATH=VALUE` of `settings` applied in turn.

    A path goes through the fields of the study, such as `recipe.family.aspect`, `recipe.seed`,
    `recipe.optimizer_knobs.weight_decay`, `design.budgets` or `name`. The type of the field
    decides how the value is read. In a field that holds a rule, a number becomes the constant
    rule; another rule is written as in Python, such as
    `PowerLawLR(value=6e-3, reference_params=6e4)`.

    >>> from scaling_jax.study import load_experiment
    >>> study = load_experiment("experiments/chinchilla_isoflop.py", "cpu")
    >>> override(study, ["recipe.seed=1", "recipe.peak_lr=2e-3"]).recipe.peak_lr
    ConstantLR(value=0.002)

    Raises:
        InputError: a path that names no field, a value that the field refuses, or a setting that
            changes none of the runs.
    """
    for setting in settings:
        study = _override(study, setting)
    return study


def _override(study: Study, setting: str) -> Study:
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise InputError(f"--set {setting}: write PATH=VALUE, such as recipe.peak_lr=3e-3")
    fields = [field.name for field in dataclasses.fields(study)]
    if path.split(".")[0] not in fields:
        near = suggestion(path, _paths(study))
        raise InputError(f"--set {setting}: a study has no {path!r}{near}")
    try:
        changed = replaced(study, path, partial(_read, text), "study")
        same = changed.plan() == study.plan()
    except InputError as error:
        raise InputError(f"--set {setting}: {error}") from error
    if same and changed != study and changed.name == study.name:
        raise InputError(
            f"--set {setting}: changes none of the runs: the design sets that itself, or it makes "
            "no difference at these sizes; leave it out, or edit the design"
        )
    return changed


def _paths(study: Study) -> list[str]:
    """Paths of a study's fields, down to the fields of its recipe and design."""
    parts = {"recipe": study.recipe, "design": study.design}
    inner = [
        f"{part}.{field.name}"
        for part, value in parts.items()
        if dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
    ]
    return ["name", *inner]


def _read(text: str, hint: Any, where: str) -> Any:
    """The value that `text` stands for in a field of type `hint`.

    Raises:
        InputError: the text is no such value. The message says what is.
    """
    if hint in _CHOICES:
        number = _number(text) if hint in CONSTANT_RULES else None
        if number is None:
            return _read_call(text, _CHOICES[hint], where)
        return as_rule(hint, number, where)
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        require_one_of(where, text, hint)
        return text
    if origin in (types.UnionType, typing.Union):
        return _read_union(text, hint, where)
    if origin is tuple:
        return _read_tuple(text, choices[0], where)
    if dataclasses.is_dataclass(hint):
        return _read_call(text, (hint,), where)
    reader = _SCALARS.get(hint)
    if reader is None:
        raise InputError(f"{where} cannot be set from text: name a field in it, or edit the file")
    try:
        return reader(text)
    except ValueError as error:
        raise InputError(f"{where} must be {hint.__name__}, not {text!r}") from error


def _read_union(text: str, hint: Any, where: str) -> Any:
    choices = typing.get_args(hint)
    if all(map(dataclasses.is_dataclass, choices)):
        return _read_call(text, choices, where)
    if text == "None":
        return None
    *scalars, inner = (choice for choice in choices if choice is not types.NoneType)
    for scalar in scalars:
        with contextlib.suppress(ValueError):
            return _SCALARS[scalar](text)
    return _read(text, inner, where)


def _read_tuple(text: str, inner: Any, where: str) -> tuple[Any, ...]:
    try:
        values = ast.literal_eval(text)
    except _NO_LITERAL:
        values = None
    if not isinstance(values, tuple | list):
        raise InputError(f"{where} must be several values, such as '1e18, 3e18', not {text!r}")
    return tuple(_read(_as_text(value), inner, where) for value in values)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _read_call(text: str, kinds: Sequence[Any], where: str) -> Any:
    """An instance of one of the dataclasses `kinds`, from `Name(field=value, ...)` or `Name`."""
    known = {kind.__name__: kind for kind in kinds}
    try:
        return _called(ast.parse(text, mode="eval").body, known, where)
    except _NO_LITERAL as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where} cannot be {text!r}: {_how(known)}") from error


def _called(node: ast.expr, known: Mapping[str, Any], where: str) -> Any:
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    name, text = call.func.id if isinstance(call.func, ast.Name) else "", ast.unparse(node)
    if name not in known:
        near = suggestion(name or text, list(known))
        raise InputError(f"{where} cannot be {text!r}{near}; {_how(known)}")
    if call.args:
        raise InputError(f"{where} is {text!r} without names: {_how(known)}")
    hints = typing.get_type_hints(known[name])
    given = {
        str(word.arg): _evaluated(word.value, hints.get(str(word.arg)), f"{where}.{word.arg}")
        for word in call.keywords
    }
    return from_dict(known[name], given, where)


def _evaluated(node: ast.expr, hint: Any, where: str) -> Any:
    """The literal, or the instance of a dataclass, that a field of type `hint` is given."""
    kinds = _CHOICES.get(hint, (hint,) if isinstance(hint, type) else ())
    if isinstance(node, ast.Call) and all(map(dataclasses.is_dataclass, kinds)) and kinds:
        return _called(node, {kind.__name__: kind for kind in kinds}, where)
    if typing.get_origin(hint) is tuple and isinstance(node, ast.Tuple | ast.List):
        inner = typing.get_args(hint)[0]
        return tuple(_evaluated(each, inner, where) for each in node.elts)
    return ast.literal_eval(node)


def _how(known: Mapping[str, Any]) -> str:
    name, kind = next(iter(known.items()))
    field = next(iter(dataclasses.fields(kind)), None)
    return f"write it as in Python, such as {name}({field.name + '=...' if field else ''})"


def _number(text: str) -> int | float | None:
    for reader in (_integer, float):
        try:
            return reader(text)
        except ValueError:
            continue
    return None


def _integer(text: str) -> int:
    """A whole number, which may be written as 1e6."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)


def _boolean(text: str) -> bool:
    if text not in ("true", "True", "false", "False"):
        raise ValueError(text)
    return text in ("true", "True")


# What Python raises for text that is no literal, such as a mapping whose key is a list.
_NO_LITERAL = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)

# What can be written where a field takes anything of an open kind.
_CHOICES: dict[Any, tuple[type, ...]] = {
    Design: (IsoFlop, FixedModels, ShapeGrid, Branched, Extrapolation, Sweep),
    LearningRateRule: (
        ConstantLR,
        PowerLawLR,
        ComputeLR,
        KaplanLR,
        HoffmannLR,
        PorianLR,
        StepLawLR,
        DeepSeekLR,
        ScaledByBatch,
    ),
    BatchRule: (ConstantBatch, PowerLawBatch, PorianBatch, StepLawBatch, DeepSeekBatch),
}

_SCALARS: dict[Any, Callable[[str], Any]] = {
    str: str,
    float: float,
    int: _integer,
    bool: _boolean,
}
