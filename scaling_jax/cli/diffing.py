"""`diff`: how two studies differ."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_jax.cli.arguments import Json, Scale, ScaleOption, load_study
from scaling_jax.cli.output import print_json, print_table
from scaling_jax.config import OptimizerConfig
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.study import PlannedRun, Store
    from scaling_jax.study.plan.difference import Difference

COLUMNS = ("field", "A", "B")

Side = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="STUDY", help="a study's directory, an experiment's file, or an experiment's name"
    ),
]


@dataclass(frozen=True)
class _Side:
    """One of the two: its description as plain data, its runs, and what those there were made with.

    An experiment's runs were made with nothing yet.
    """

    described: Mapping[str, Any]
    runs: "Mapping[str, PlannedRun]"
    made_with: Mapping[str, str]


def diff(
    a: Side,
    b: Side,
    /,
    *,
    scale: ScaleOption = "full",
    json: Json = False,
) -> None:
    """Show how two studies differ: every field of recipe and design, and the runs they share.

    Of two directories also what their runs were made with: text, machine, versions, commit.
    --scale says which study of an experiment is meant; a directory holds one.
    """
    from scaling_jax.study.plan.difference import differences

    sides = [_side(each, scale) for each in (a, b)]
    first, second = (side.described for side in sides)
    found = differences(first, second)
    made_in_a, made_in_b = (side.made_with for side in sides)
    if made_in_a and made_in_b:
        found += differences(made_in_a, made_in_b, "made_with")
    in_a, in_b = (set(side.runs) for side in sides)
    shared = {"both": len(in_a & in_b), "only_a": len(in_a - in_b), "only_b": len(in_b - in_a)}
    if json:
        rows = [{"field": each.field, "a": each.ours, "b": each.theirs} for each in found]
        names = {"a": first["name"], "b": second["name"]}
        print_json({**names, "differences": rows, "runs": shared})
        return
    _print(first["name"], second["name"], found, shared)


def _side(text: str, scale: Scale) -> _Side:
    from scaling_jax.study import Store

    if "://" in text or Path(text).is_dir():
        store = Store.open(text)
        runs = {run.run_id: run.planned for run in store.runs()}
        return _Side(_fields(store.study), runs, _made_with(store))
    study = load_study(Path(text), scale)
    return _Side(_fields(study.describe()), {run.config.run_id: run for run in study.plan()}, {})


def _made_with(store: "Store") -> dict[str, str]:
    """Text, machine and software of the runs that are over, every value that occurs."""
    from scaling_jax.study import collect
    from scaling_jax.study.store.records import MADE_WITH

    table = collect(store)
    return {
        name: ", ".join(sorted(map(str, table[name].dropna().unique())))
        for name in MADE_WITH
        if table[name].notna().any()
    }


def _fields(described: Mapping[str, Any]) -> dict[str, Any]:
    """What to compare: a knob that is not given is what it is by default."""
    recipe = described["recipe"]
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(OptimizerConfig)
        if field.default not in (None, dataclasses.MISSING)
    }
    knobs = defaults | recipe["optimizer_knobs"]
    return {
        "name": described["name"],
        "recipe": {**recipe, "optimizer_knobs": knobs},
        "design": described["design"],
    }


def _print(a: str, b: str, found: "list[Difference]", shared: Mapping[str, int]) -> None:
    from scaling_jax.study.plan.difference import in_words

    print(f"A is {a}, B is {b}.")
    if found:
        rows = [(each.field, in_words(each.ours), in_words(each.theirs)) for each in found]
        print()
        print_table(Table(COLUMNS, rows, COLUMNS))
        print()
    else:
        print("Their recipes and designs are the same.")
    print(
        f"{shared['both']} runs are the same in both, {shared['only_a']} are only in A, "
        f"{shared['only_b']} only in B."
    )
