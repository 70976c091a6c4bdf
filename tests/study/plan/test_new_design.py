"""A design of one's own: a frozen dataclass with `runs`, in an experiment file."""

import json
from pathlib import Path

import pytest

from scaling_jax.cli import main
from scaling_jax.errors import InputError
from scaling_jax.study import Store, load_experiment, override
from scaling_jax.study.plan.design import Design

EXPERIMENT = """
from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, PlannedRun, Recipe, Study, Sweep, vary


@dataclass(frozen=True)
class Ladder:
    \"\"\"Sizes that double from step to step, each trained at its own budget.\"\"\"

    smallest: float
    steps: int
    flops_per_squared_param: float

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        for step in range(self.steps):
            params = self.smallest * 2**step
            budget = self.flops_per_squared_param * params**2
            shape = recipe.family.nearest(params)
            yield PlannedRun(recipe.for_budget(shape, budget), budget, "grid", recipe.convention)


recipe = Recipe(
    DataConfig(), Family(vocab_size=256, seq_len=128), ConstantLR(1e-3), ConstantBatch(16)
)
ladder = Ladder(smallest=30e3, steps=3, flops_per_squared_param=120.0)
study = Study("ladder", recipe, ladder)
cpu = Study("ladder-rates", recipe, Sweep(ladder, vary("peak_lr", 1e-3, 2e-3)))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "ladder.py"
    file.write_text(EXPERIMENT)
    return file


def test_its_runs_are_planned_and_swept(path: Path) -> None:
    study = load_experiment(path)
    assert isinstance(study.design, Design)
    assert [run.budget for run in study.plan()] == [120.0 * (30e3 * 2**i) ** 2 for i in range(3)]
    swept = load_experiment(path, "cpu").plan()
    assert {run.config.optimizer.peak_lr for run in swept} == {1e-3, 2e-3}
    assert len(swept) == 6


def test_its_fields_can_be_changed(path: Path) -> None:
    longer = override(load_experiment(path), ["design.steps=5"])
    assert len(longer.plan()) == 5
    with pytest.raises(InputError, match="smallest"):
        override(load_experiment(path), ["design.smalest=1e4"])


def test_it_is_stored_by_its_fields(path: Path, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "root", load_experiment(path))
    assert store.study["design"] == {
        "is": "Ladder",
        "smallest": 30e3,
        "steps": 3,
        "flops_per_squared_param": 120.0,
    }
    assert len(store.runs()) == 3


def test_the_command_line_plans_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(path), "--hardware", "v5e", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 3
