import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling_jax.accounting import flops, hardware

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = """
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, FixedModels, IsoFlop, Recipe, Study

recipe = Recipe(
    DataConfig(repeat=True),
    Family(vocab_size=256, seq_len=128),
    ConstantLR(1e-3),
    ConstantBatch(16),
)
study = Study("small", recipe, {design})
"""


@pytest.fixture
def planned(cli: Callable, tmp_path: Path) -> Callable[[str], dict]:
    """The plan of a design, priced for one v5e."""

    def plan(design: str, *options: object) -> dict:
        (tmp_path / "small.py").write_text(SMALL.format(design=design))
        outcome = cli("plan", tmp_path / "small.py", "--hardware", "v5e", "--json", *options)
        assert outcome.code == 0, outcome.err
        return outcome.json

    return plan


def test_totals_are_the_sums_of_the_runs(planned: Callable) -> None:
    plan = planned("IsoFlop((1e12, 4e12, 1.6e13), ((30e3, 60e3, 120e3),) * 3)", "--chips", 4)
    assert len(plan["runs"]) == 9
    assert plan["total_flops"] == sum(run["flops"] for run in plan["runs"])
    hours = sum(run["hours"] for run in plan["runs"])
    assert plan["total_hours"] == pytest.approx(hours)
    assert plan["chip_hours"] == pytest.approx(4 * hours)
    for run in plan["runs"]:
        assert run["flops"] == pytest.approx(run["budget"], rel=0.005)
        assert run["flops"] == 6 * run["params"] * run["tokens"]
    # Nine runs are few for a floor; nothing else is wrong.
    (warning,) = plan["warnings"]
    assert warning.endswith("[floor-unidentified]")


def test_time_follows_the_chip_and_the_utilization(planned: Callable) -> None:
    design = "IsoFlop((1e12,), ((30e3, 60e3),))"
    slow = planned(design, "--utilization", 0.1)["total_hours"]
    assert planned(design, "--utilization", 0.2)["total_hours"] == pytest.approx(slow / 2)


def test_warns_when_size_and_data_grow_together(planned: Callable) -> None:
    plan = planned("FixedModels((30e3, 60e3, 120e3, 240e3), (20.0,))")
    assert ["collinear" in warning for warning in plan["warnings"]] == [True]


def test_warns_of_one_size(planned: Callable) -> None:
    (warning,) = planned("FixedModels((30e3,), (5.0, 20.0, 80.0))")["warnings"]
    assert "same N" in warning


def test_warns_of_few_budgets(planned: Callable) -> None:
    plan = planned("IsoFlop((1e12, 4e12), ((30e3, 60e3, 120e3),) * 2)")
    assert "only 2 compute budgets" in plan["warnings"][0]


def test_prints_the_interval_that_the_answer_is_expected_to_have(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    answer = cli("plan", experiment, "--hardware", "v5p", "--json").json["answer"]
    assert answer["target"]["flops"] == pytest.approx(3e22)
    loss = answer["half_widths"]["loss"]
    assert loss["noise"] < loss["total"] < loss["noise"] + loss["form"]
    outcome = cli("plan", experiment, "--hardware", "v5p")
    (line,) = (line for line in outcome.out.splitlines() if "Expected 90 % interval" in line)
    assert "at 3e22 FLOPs, 10 times the largest budget: the loss ±" in line


def test_suggests_runs_with_their_cost_and_the_interval_they_bring(planned: Callable) -> None:
    design = "IsoFlop((1e12, 4e12, 1.6e13), ((30e3, 60e3, 90e3, 120e3),) * 3)"
    assert "additions" not in planned(design)
    plan = planned(design, "--suggest", "--price", 2.0)
    first, *_ = plan["additions"]
    assert first["name"].startswith("one more budget below")
    assert 0 < first["price"] < plan["price"]
    now = plan["answer"]["half_widths"]["loss"]["total"]
    assert first["half_widths"]["loss"]["total"] < now
    (seeds,) = (each for each in plan["additions"] if "second seed" in each["name"])
    assert seeds["flops"] == plan["total_flops"]
    assert seeds["price"] == pytest.approx(plan["price"])


def test_suggestions_are_a_table_and_none_where_no_loss_is_asked_for(cli: Callable) -> None:
    options = ("--scale", "cpu", "--hardware", "v5e", "--suggest")
    outcome = cli("plan", EXPERIMENTS / "chinchilla_isoflop.py", *options)
    assert "the design as it is" in outcome.out
    assert "one more budget below, 6.25e+10 FLOPs" in outcome.out
    outcome = cli("plan", EXPERIMENTS / "lr_transfer.py", *options)
    assert outcome.code == 0
    assert "Further runs" not in outcome.out


def test_a_single_ray_is_warned_of_once_with_its_code(planned: Callable) -> None:
    plan = planned("FixedModels((20e3, 30e3, 45e3, 60e3, 90e3, 120e3, 240e3), (20.0,))")
    (code, *_) = (warning["code"] for warning in plan["answer"]["warnings"])
    assert code == "single-ray"
    collinear = [warning for warning in plan["warnings"] if "collinear" in warning]
    assert len(collinear) == 1
    assert collinear[0].endswith("[single-ray]")


def test_a_sweep_of_learning_rates_is_asked_for_no_loss(cli: Callable) -> None:
    outcome = cli("plan", EXPERIMENTS / "lr_transfer.py", "--scale", "cpu", "--hardware", "v5e")
    assert outcome.code == 0
    assert "Expected" not in outcome.out


def test_says_over_how_many_chips_a_large_run_fits(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    plan = cli("plan", experiment, "--hardware", "v5p", "--json").json
    (warning,) = plan["warnings"]
    needed = max(run["fits_on_chips"] for run in plan["runs"])
    assert f"(fits on {needed:,})" in warning
    there = cli("plan", experiment, "--hardware", "v5p", "--chips", needed, "--json").json
    usable = hardware.chip("v5p").usable_bytes
    assert max(run["memory_bytes"] for run in there["runs"]) <= usable
    assert there["warnings"] == []


def test_says_what_would_make_the_largest_run_fit(cli: Callable) -> None:
    command = ("plan", EXPERIMENTS / "chinchilla_isoflop.py", "--hardware", "v5p", "--chips", 32)
    as_it_is = ("--remat", "none", "--accumulate", 1)
    (warning,) = cli(*command, *as_it_is, "--json").json["warnings"]
    assert "estimated to fit with --accumulate" in warning
    # What is not given is chosen for each run, and shown.
    chosen = cli(*command, "--json").json
    assert chosen["warnings"] == []
    assert {run["computed_by"]["accumulate"] for run in chosen["runs"]} > {1}
    assert "accumulate 2" in cli(*command).out


def test_says_when_nothing_is_enough(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    command = ("plan", experiment, "--hardware", "v5e", "--chips", 16, "--json")
    (warning,) = cli(*command, "--remat", "full", "--accumulate", 1).json["warnings"]
    assert "Nothing here makes it fit" in warning
    (warning,) = cli(*command).json["warnings"]
    assert "to make 3 of 80 runs fit on 16 v5e" in warning
    assert "14.9\xa0B parameters (fits on 32)" in warning


def test_chips_that_do_not_divide_the_batch_are_refused(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    code, _, err = cli("plan", experiment, "--hardware", "v5e", "--chips", 24)
    assert code == 2
    assert "batch_size 256 does not divide over 24 devices" in err


def test_table_shows_every_run_in_full(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    code, out, _ = cli("plan", experiment, "--hardware", "v5p")
    assert code == 0
    header, *lines = out.split("\n\n")[0].splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(cli("plan", experiment, "--hardware", "v5p", "--json").json["runs"])
    for column in ("budget", "N params", "D tokens", "D/N", "batch", "steps", "peak LR"):
        assert column in header
    assert "…" not in out


def test_published_budgets_are_met(cli: Callable) -> None:
    plan = cli("plan", EXPERIMENTS / "chinchilla_isoflop.py", "--hardware", "v5p", "--json").json
    budgets = sorted({run["budget"] for run in plan["runs"]})
    assert budgets == [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
    assert plan["convention"] in flops.CONVENTIONS


def test_readme_experiment_is_a_plan_without_warnings(cli: Callable, tmp_path: Path) -> None:
    blocks = re.findall(
        r"```python[^\n]*\n(.*?)```", (EXPERIMENTS.parent / "README.md").read_text(), re.S
    )
    (source,) = (block for block in blocks if "study = " in block)
    (tmp_path / "mine.py").write_text(source)
    plan = cli("plan", tmp_path / "mine.py", "--hardware", "v5e", "--json").json
    assert len(plan["runs"]) == 15
    assert plan["warnings"] == []


BRANCHED = """
from dataclasses import replace
from scaling_jax.study import Branched, Warmup

wsd = replace(recipe, optimizer_knobs={"schedule": "wsd"}, warmup=Warmup(share=0, floor=5))
design = FixedModels((30e3, 60e3, 120e3), (5.0, 10.0, 20.0))
study = Study("branched", wsd, Branched(design))
cosine = Study("cosine", recipe, Branched(design))
"""


def test_branches_cost_what_follows_their_trunk(cli: Callable, tmp_path: Path) -> None:
    path = tmp_path / "branched.py"
    path.write_text(SMALL.format(design="FixedModels((30e3,), (5.0,))") + BRANCHED)
    plan = cli("plan", path, "--hardware", "v5e", "--json").json
    branches = [run for run in plan["runs"] if run["trunk"]]
    assert len(branches) == 6
    runs = {run["run_id"]: run for run in plan["runs"]}
    for run in branches:
        share, trunk = 1 - run["begun_at"] / run["steps"], runs[run["trunk"]]
        assert run["flops_spent"] == pytest.approx(share * run["flops"])
        assert trunk["flops_spent"] == trunk["flops"]
        assert run["hours"] / trunk["hours"] == pytest.approx(run["flops_spent"] / trunk["flops"])
    share = plan["total_flops_spent"] / plan["total_flops"]
    assert share == pytest.approx((20 + 0.2 * 15) / 35, rel=0.02)
    text = cli("plan", path, "--hardware", "v5e").out
    assert "6 of them branches" in text
    assert f"{share:.0%} of the" in text
    assert f"from {branches[0]['begun_at']}" in text


def test_horizons_that_cannot_be_branched_are_refused(cli: Callable, tmp_path: Path) -> None:
    path = tmp_path / "branched.py"
    text = SMALL.format(design="FixedModels((30e3,), (5.0,))") + BRANCHED
    path.write_text(text.replace("study = Study", "wsd_ = Study").replace("cosine =", "study ="))
    outcome = cli("plan", path, "--hardware", "v5e")
    assert outcome.code == 2
    assert "cannot share a trunk under the schedule 'cosine'" in outcome.err
