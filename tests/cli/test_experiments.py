from collections.abc import Callable
from pathlib import Path

import pytest


def test_lists_what_plan_then_says(cli: Callable) -> None:
    listed = {each["name"]: each for each in cli("experiments", "--json").json}
    isoflop = listed["chinchilla-isoflop"]
    assert (isoflop["arxiv"], isoflop["figure"]) == ("2203.15556", "figure 3")
    for scale, size in isoflop["scales"].items():
        plan = cli("plan", isoflop["name"], "--scale", scale, "--hardware", "v5e", "--json").json
        assert size["runs"] == len(plan["runs"])
        assert size["flops"] == pytest.approx(plan["total_flops"])
    code, out, _ = cli("experiments")
    assert code == 0
    assert all(name in out for name in listed)


def test_a_setting_changes_the_plan(cli: Callable) -> None:
    plan = ("plan", "chinchilla-isoflop", "--scale", "smoke", "--hardware", "v5e", "--json")
    as_filed = cli(*plan).json
    changed = cli(*plan, "--set", "recipe.peak_lr=3e-3", "--set", "recipe.batch_size=4").json
    assert {run["peak_lr"] for run in changed["runs"]} == {3e-3}
    assert {run["batch_size"] for run in changed["runs"]} == {4}
    ids = [{run["run_id"] for run in each["runs"]} for each in (as_filed, changed)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("command", ["plan", "run", "simulate", "compile"])
def test_a_setting_of_nothing_is_refused_before_anything(
    cli: Callable, tmp_path: Path, command: str
) -> None:
    more = {
        "run": ("--root", tmp_path / "root"),
        "simulate": ("--law", "chinchilla-besiroglu"),
        "compile": ("--topology", "v5e:2x2"),
    }
    setting = ("--scale", "smoke", "--set", "recipe.peek_lr=1")
    code, out, err = cli(command, "demo", *setting, *more.get(command, ()))
    assert (code, out) == (2, "")
    assert err.startswith("--set recipe.peek_lr=1: ")
    assert "did you mean 'peak_lr'" in err
    assert not (tmp_path / "root").exists()
