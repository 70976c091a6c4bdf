"""Python files of users: what they print is no result, and what they end is no success."""

from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = """
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, IsoFlop, Recipe, Study

def rate(shape, tokens):
    {in_rule}
    return 5e-3

{in_file}
recipe = Recipe(DataConfig(), Family(256, 32), rate, ConstantBatch(8))
study = Study("mine", recipe, IsoFlop((2e9, 4e9), ((5e3, 10e3),) * 2))
"""
LAW = """
{in_file}
def law(params, tokens, *, E=(0.5, 3), A=(1, 1e5), alpha=(0.1, 1), B=(1, 1e5), beta=(0.1, 1)):
    {in_law}
    return E + A / params**alpha + B / tokens**beta
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.py"


def test_prints_of_an_experiment_stay_out_of_json(cli: Callable, path: Path) -> None:
    path.write_text(STUDY.format(in_rule="print('rule')", in_file="print('file')"))
    outcome = cli("plan", path, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["study"] == "mine" or outcome.json
    assert {"file", "rule"} <= set(outcome.err.split())


def test_prints_of_a_law_stay_out_of_json(cli: Callable, path: Path, table: Path) -> None:
    path.write_text(LAW.format(in_law="print('law')", in_file="print('file')"))
    outcome = cli("fit", table, "--law", f"{path}:law", "--bootstrap", 0, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json
    assert {"file", "law"} <= set(outcome.err.split())


@pytest.mark.parametrize("place", ["in_rule", "in_file"])
@pytest.mark.parametrize(
    ("ending", "words"), [("raise SystemExit", "exit()"), ("raise SystemExit('why')", "why")]
)
def test_an_experiment_that_ends_the_program_is_refused(
    cli: Callable, path: Path, place: str, ending: str, words: str
) -> None:
    path.write_text(STUDY.format(**({"in_rule": "pass", "in_file": ""} | {place: ending})))
    outcome = cli("plan", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_a_law_that_ends_the_program_is_refused(cli: Callable, path: Path, table: Path) -> None:
    path.write_text(LAW.format(in_law="raise SystemExit('why')", in_file=""))
    outcome = cli("fit", table, "--law", f"{path}:law", "--bootstrap", 0)
    assert (outcome.code, outcome.out) == (2, "")
    assert "why" in outcome.err
