"""An experiment file is a Python module, and what is wrong with one is reported in one line."""

import re

import pytest

from scaling_jax.errors import InputError
from scaling_jax.study import load_experiment

GOOD = """
from __future__ import annotations
from dataclasses import dataclass
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, FixedModels, Recipe, Study

@dataclass(frozen=True)
class OwnRule:
    value: float = 1e-3

    def __call__(self, *args) -> float:
        return self.value

recipe = Recipe(DataConfig(), Family(256, 32), OwnRule(), ConstantBatch(8))
study = Study("own", recipe, FixedModels((1e4,), (20,)))
smoke = Study("own-smoke", recipe, FixedModels((5e3,), (1,)))
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="experiment.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_the_study_of_each_scale(write):
    path = write(GOOD)
    assert load_experiment(path).name == "own"
    assert load_experiment(str(path), "smoke").name == "own-smoke"
    assert load_experiment(path).plan()[0].config.optimizer.peak_lr == 1e-3
    with pytest.raises(InputError, match=r"named .cpu.*it has full, smoke"):
        load_experiment(path, "cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = (\n", ", line 2: SyntaxError: '(' was never closed"),
        ("x = 1\n\ny = x / 0\n", ", line 3: ZeroDivisionError: division by zero"),
        ("import no_such_module\n", ", line 1: ModuleNotFoundError: No module named"),
        (
            "from scaling_jax.study import IsoFlop\nIsoFlop((1e9,), ())\n",
            ", line 2: 1 budgets but sizes for 0",
        ),
        ("study = 'a string'\n", " defines no scaling_jax Study named 'study'"),
        ("", " defines no scaling_jax Study named 'study' for scale 'full': it has none"),
    ],
)
def test_an_experiment_that_does_not_run_is_named_with_its_line(write, text, message):
    path = write(text)
    with pytest.raises(InputError, match=f"^experiment {re.escape(str(path) + message)}"):
        load_experiment(path)


def test_what_is_no_experiment_file_is_refused(write, tmp_path):
    for path, message in [
        (tmp_path / "absent.py", "does not exist"),
        (tmp_path, "does not exist"),
        (write(GOOD, "experiment.txt"), "ends in .py"),
    ]:
        with pytest.raises(InputError, match=message):
            load_experiment(path)
