"""What a plan says of time and money, and what it refuses to spend."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling_jax.study import Store

BUDGETS = (1e12, 4e12, 1.6e13)
SIZES = (30e3, 60e3, 120e3, 240e3, 480e3)
ISOFLOP = f"IsoFlop({BUDGETS}, ({SIZES},) * {len(BUDGETS)})"
FILE = f"""
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Study

recipe = Recipe(
    DataConfig("embedded", "bytes", repeat=True),
    Family(256, 128),
    ConstantLR(3e-3),
    ConstantBatch(16),
)
study = Study("trial", recipe, {ISOFLOP})
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """The file of the fixture `study`."""
    path = tmp_path / "trial.py"
    path.write_text(FILE)
    return path


def test_money_is_the_price_of_all_chip_hours(cli: Callable, experiment: Path) -> None:
    command = ("plan", experiment, "--hardware", "v5e", "--chips", 4, "--price", 2.5)
    plan = cli(*command, "--json").json
    assert plan["price"] == pytest.approx(2.5 * plan["chip_hours"])
    assert plan["price"] == pytest.approx(sum(run["price"] for run in plan["runs"]))
    assert "at 2.5 a chip-hour" in cli(*command).out
    unpriced = cli("plan", experiment, "--hardware", "v5e", "--json").json
    assert unpriced["price"] is None
    assert cli("plan", experiment, "--hardware", "v5e", "--price", -1).code == 2


def test_time_is_that_of_finished_runs_where_there_are_some(
    cli: Callable, experiment: Path, store: Store
) -> None:
    root = store.directory.parent
    plan = cli("plan", experiment, "--hardware", "cpu", "--root", root, "--json").json
    assert plan["measured_runs"] == len(store.runs()) - 3
    assert plan["utilization"] is None
    for run in plan["runs"]:
        # Every run of the store trained at 1e5 tokens per second, and sizes cost what they cost.
        assert run["hours"] * 3600 == pytest.approx(run["tokens"] / 1e5, rel=1e-3)
    text = cli("plan", experiment, "--hardware", "cpu", "--root", root).out
    assert f"by the {plan['measured_runs']} runs that finished on cpu" in text


def test_runs_on_other_chips_say_nothing(cli: Callable, experiment: Path, store: Store) -> None:
    command = ("plan", experiment, "--hardware", "v5e")
    elsewhere = cli(*command, "--root", store.directory, "--json").json
    assert elsewhere["measured_runs"] == 0
    assert elsewhere["total_hours"] == cli(*command, "--json").json["total_hours"]
    assert "at an assumed 40% of their peak" in cli(*command).out


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_plan_beyond_the_budget_is_refused(
    cli: Callable, experiment: Path, tmp_path: Path, command: str
) -> None:
    where = ("--root", tmp_path / "results") if command == "run" else ("--hardware", "v5e")
    code, out, err = cli(command, experiment, *where, "--max-flops", 1e14)
    assert (code, out) == (2, "")
    assert "takes 1.05e+14 FLOPs, more than --max-flops 1e+14" in err
    assert not (tmp_path / "results").exists()
    total = sum(BUDGETS) * len(SIZES)
    assert cli("plan", experiment, "--hardware", "v5e", "--max-flops", 1.01 * total).code == 0
