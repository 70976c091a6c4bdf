from collections.abc import Callable
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
QUICK = ("--studies", 4, "--bootstrap", 20)


def test_says_what_a_study_could_tell(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    outcome = cli("simulate", experiment, "--law", "chinchilla-hoffmann", *QUICK)
    assert outcome.code == 0, outcome.err
    for words in (
        "N_opt",
        "D_opt",
        "loss of a run",
        "error of the form",
        "In 9 of 10 such studies",
    ):
        assert words in outcome.out
    assert "3e22 FLOPs" in outcome.out
    assert "alpha 0.3392" in outcome.out


def test_json_holds_truth_estimates_and_cost(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    result = cli(
        "simulate", experiment, "--law", "chinchilla-besiroglu", "--flops", 1e23, "--json", *QUICK
    ).json
    plan = cli("plan", experiment, "--hardware", "v5p", "--json").json
    assert result["training_flops"] == pytest.approx(plan["total_flops"])
    assert result["flops"] == 1e23
    assert result["studies"] == 4
    quantities = result["quantities"]
    assert set(quantities) == {"a", "b", "params", "tokens", "loss", "measured"}
    params, tokens = (quantities[name] for name in ("params", "tokens"))
    assert 6 * params["truth"] * tokens["truth"] == pytest.approx(1e23)
    assert params["low"] < params["truth"] < params["high"]
    assert quantities["measured"]["truth"] is None
    assert quantities["measured"]["width"] > quantities["loss"]["width"]


def test_more_noise_leaves_more_doubt(cli: Callable) -> None:
    experiment = EXPERIMENTS / "demo.py"
    quiet, loud = (
        cli("simulate", experiment, "--law", "chinchilla-besiroglu", "--noise", s, "--json", *QUICK)
        for s in (1e-4, 4e-3)
    )
    widths = [outcome.json["quantities"]["a"]["width"] for outcome in (quiet, loud)]
    assert widths[1] > 5 * widths[0]


def test_reads_the_law_of_a_fit(cli: Callable, table: Path, tmp_path: Path) -> None:
    fit = tmp_path / "fit.json"
    assert cli("fit", table, "--bootstrap", 0, "--out", fit).code == 0
    constants = cli("fit", table, "--bootstrap", 0, "--json").json["params"]
    result = cli("simulate", EXPERIMENTS / "demo.py", "--law", fit, "--json", *QUICK).json
    assert result["law"]["constants"] == pytest.approx(constants)
    assert result["law"]["count"] == "total"


def test_approach_2_tells_no_loss(cli: Callable) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    outcome = cli("simulate", experiment, "--law", "chinchilla-besiroglu", "--approach", 2, *QUICK)
    assert outcome.code == 0, outcome.err
    assert "N_opt" in outcome.out
    assert "loss" not in outcome.out.split("Law:")[1].split("\n", 1)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--law", "chinchila-hoffmann"), "did you mean 'chinchilla-hoffmann'"),
        (("--law", "missing.json"), "missing.json"),
        (("--law", "chinchilla-hoffmann", "--noise", -1), "noise scale -1"),
        (("--law", "chinchilla-hoffmann", "--studies", 0), "at least 1"),
    ],
)
def test_bad_input(cli: Callable, options: tuple, message: str) -> None:
    outcome = cli("simulate", EXPERIMENTS / "demo.py", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""


def test_a_fit_without_a_law_is_refused(cli: Callable, table: Path, tmp_path: Path) -> None:
    fit = tmp_path / "fit.json"
    assert cli("fit", table, "--approach", 2, "--bootstrap", 0, "--out", fit).code == 0
    outcome = cli("simulate", EXPERIMENTS / "demo.py", "--law", fit)
    assert outcome.code == 2
    assert "fit with approach 3" in outcome.err
