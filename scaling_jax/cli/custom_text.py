"""`fit --law` for laws of other columns than params and tokens, and for functions of one's own."""

import dataclasses
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.cli.output import print_json
from scaling_jax.errors import InputError, suggestion
from scaling_jax.formatting import plain_spaces

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import CustomFit, FunctionLaw, PowerSum, Response

_NAMED_FILE = ".py:"


def custom_law(text: str) -> "FunctionLaw | PowerSum | None":
    """The law that `text` names where `laws.fit_custom` is what fits it, else None.

    That is a function in a file, `FILE.py:NAME`, or a law of the literature that is not of the
    loss in params and tokens alone.

    Raises:
        InputError: no such file or name, a file that fails, or something that is no law.
    """
    from scaling_jax.laws import FUNCTIONS, POWER_SUMS

    if _NAMED_FILE in text:
        path, _, name = text.rpartition(":")
        return _law_in(Path(path), name)
    if text.endswith(".py"):
        raise InputError(f"{text} is a file: name the law in it, as in {text}:NAME")
    if text in FUNCTIONS:
        return FUNCTIONS[text]
    form = POWER_SUMS.get(text)
    if form is None or (form.response == "loss" and {*form.variables} <= {"params", "tokens"}):
        return None
    return form


def fit_and_print(
    law: "FunctionLaw | PowerSum",
    table: "pd.DataFrame | Path",
    at: Mapping[str, float],
    options: Mapping[str, Any],
    json: bool,
) -> None:
    """Fit the law to the columns it reads and say what it is, and what it predicts `at` values.

    Raises:
        InputError: as `laws.fit_custom` has it, or values that the law cannot be asked at.
    """
    from scaling_jax import laws

    fitted = laws.fit_custom(law, table, **options)
    response = fitted.predict(**at) if at else None
    if json:
        print_json(custom_as_json(fitted, at, response))
    else:
        print(describe_custom(fitted, at, response))


def describe_custom(fit: "CustomFit", at: Mapping[str, float], response: "Response | None") -> str:
    """The law, its constants with intervals, and what it predicts."""
    form = fit.form
    lines = [f"Law {form.name}, fitted to {fit.n_points} rows."]
    lines += [f"  {text}" for text in (form.formula, form.source) if text]
    if fit.n_dropped:
        lines.append(f"Left out: {fit.n_dropped} rows that did not finish or only verify.")
    lines += ["", *_constants(fit)]
    if response is not None:
        lines += ["", *_prediction(fit, at, response)]
    told = fit.objective
    lines += [
        "",
        f"note: {told['name']} is {told['value']:.6g} with gradient norm "
        f"{told['gradient_norm']:.1e}; distinct optima seen: {told['n_optima']}; condition number "
        f"{told['condition']:.1e}.",
    ]
    return plain_spaces("\n".join(lines))


def custom_as_json(
    fit: "CustomFit", at: Mapping[str, float], response: "Response | None"
) -> dict[str, Any]:
    """The fit as plain data, with what it predicts where that was asked."""
    told = {
        "law": fit.form.name,
        "formula": fit.form.formula,
        "response": fit.form.response,
        "params": dict(fit.params),
        "intervals": fit.intervals,
        "level": fit.level,
        "objective": dict(fit.objective),
        "n_points": fit.n_points,
        "n_dropped": fit.n_dropped,
        "ranges": dict(fit.ranges),
    }
    if response is None:
        return told
    return told | {"prediction": {"at": dict(at), **dataclasses.asdict(response)}}


def _law_in(path: Path, name: str) -> "FunctionLaw | PowerSum":
    from scaling_jax.laws import FunctionLaw, PowerSum, law_from_function

    module = _run(path)
    found = getattr(module, name, None)
    if found is None:
        raise InputError(f"{path} has no {name!r}{suggestion(name, _defined(module))}")
    if isinstance(found, FunctionLaw | PowerSum):
        return found
    if not callable(found) or inspect.isclass(found):
        raise InputError(
            f"{path}:{name} is of type {type(found).__name__}: name a function of columns and "
            "constants, or a laws.FunctionLaw"
        )
    return dataclasses.replace(law_from_function(found), name=f"{path.name}:{name}")


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the Python file that defines the law")
    name = f"law_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"{path}{_line_of(error, path)}: {_said(error)}") from error
    return module


def _line_of(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {next(iter(text.splitlines()), '')}"


def _defined(module: ModuleType) -> list[str]:
    """What the file itself defines, as far as it could be a law."""
    from scaling_jax.laws import FunctionLaw, PowerSum

    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, FunctionLaw | PowerSum)
        or (inspect.isfunction(value) and value.__module__ == module.__name__)
    ]


def _constants(fit: "CustomFit") -> list[str]:
    intervals, width = fit.intervals or {}, max(map(len, fit.params))
    lines = []
    for name, value in fit.params.items():
        bounds = formatting.interval(intervals.get(name), _four_digits)
        between = f"{formatting.level(fit.level)} interval {bounds}" if bounds else ""
        lines.append(f"  {name.ljust(width)}  {_four_digits(value):>10}  {between}".rstrip())
    return lines


def _prediction(fit: "CustomFit", at: Mapping[str, float], response: "Response") -> list[str]:
    where = ", ".join(f"{name} {value:g}" for name, value in at.items())
    level = formatting.level(fit.level)
    lines = [f"At {where}: {fit.form.response} {response.value:.4g}"]
    for bounds, meaning in (
        (response.interval, "of a measured row"),
        (response.law_interval, "of the law alone"),
    ):
        text = formatting.interval(bounds, _four_digits)
        if text:
            lines.append(f"  {level} interval {meaning}: {text}")
    for name in response.outside:
        low, high = fit.ranges[name]
        lines.append(f"note: {name} lies outside the fitted {low:.3g} to {high:.3g}.")
    return lines


def _four_digits(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)
