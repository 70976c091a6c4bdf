"""How two studies differ, each planned or stored."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaling_jax.config import OptimizerConfig
from scaling_jax.study.plan.difference import Difference, differences, in_words
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.records import MADE_WITH, collect
from scaling_jax.study.store.store import Store
from scaling_jax.text_table import Table

_COLUMNS = ("field", "A", "B")


@dataclass(frozen=True)
class StudyDifference:
    """How studies A and B differ.

    Attributes:
        a, b: names of the two studies.
        fields: fields of recipe and design that differ; for two stores also the text, machine and
            software of their runs.
        both, only_a, only_b: number of runs in both studies, and in one alone.
    """

    a: str
    b: str
    fields: tuple[Difference, ...]
    both: int
    only_a: int
    only_b: int

    def table(self) -> Table:
        """One row per field that differs."""
        rows = [(each.field, in_words(each.ours), in_words(each.theirs)) for each in self.fields]
        return Table(_COLUMNS, rows, _COLUMNS)

    def shared_runs(self) -> str:
        """A sentence about the runs that the studies share."""
        return (
            f"{self.both} runs are the same in both, {self.only_a} are only in A, "
            f"{self.only_b} only in B."
        )

    def data(self) -> dict[str, Any]:
        """The difference as plain data."""
        return {
            "a": self.a,
            "b": self.b,
            "differences": [
                {"field": each.field, "a": each.ours, "b": each.theirs} for each in self.fields
            ],
            "runs": {"both": self.both, "only_a": self.only_a, "only_b": self.only_b},
        }


def study_difference(a: Study | Store, b: Study | Store) -> StudyDifference:
    """Compare two studies field by field and run by run.

    >>> from scaling_jax.study import load_experiment, override
    >>> study = load_experiment("experiments/demo.py")
    >>> found = study_difference(study, override(study, ["recipe.seed=1"]))
    >>> [difference.field for difference in found.fields]
    ['recipe.seed']
    >>> found.both
    0
    """
    ours, theirs = _description(a), _description(b)
    fields = differences(ours, theirs)
    if (made_a := _made_with(a)) and (made_b := _made_with(b)):
        fields += differences(made_a, made_b, "made_with")
    in_a, in_b = _run_ids(a), _run_ids(b)
    return StudyDifference(
        ours["name"],
        theirs["name"],
        tuple(fields),
        both=len(in_a & in_b),
        only_a=len(in_a - in_b),
        only_b=len(in_b - in_a),
    )


def _description(side: Study | Store) -> dict[str, Any]:
    """A study's description in which knobs that are not set have their default values."""
    described: Mapping[str, Any] = side.study if isinstance(side, Store) else side.describe()
    recipe = described["recipe"]
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(OptimizerConfig)
        if field.default not in (None, dataclasses.MISSING)
    }
    knobs = recipe.get("optimizer_knobs")
    return {
        "name": described["name"],
        "recipe": {
            **recipe,
            "optimizer_knobs": defaults | knobs if isinstance(knobs, dict) else knobs,
        },
        "design": described["design"],
    }


def _run_ids(side: Study | Store) -> set[str]:
    if isinstance(side, Store):
        return {run.run_id for run in side.runs()}
    return {run.config.run_id for run in side.plan()}


def _made_with(side: Study | Store) -> dict[str, str]:
    """Text, machine and software of a store's ended runs: every value that occurs."""
    if not isinstance(side, Store):
        return {}
    table = collect(side)
    return {
        name: ", ".join(sorted(map(str, table[name].dropna().unique())))
        for name in MADE_WITH
        if table[name].notna().any()
    }
