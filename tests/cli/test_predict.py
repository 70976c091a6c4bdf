"""What `predict` says of a budget beyond its optimum."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling_jax import laws

BUDGET = 1.6e14


@pytest.fixture
def fit(cli: Callable, table: Path, tmp_path: Path) -> Path:
    path = tmp_path / "fit.json"
    assert cli("fit", table, "--bootstrap", 20, "--out", path).code == 0
    return path


@pytest.fixture
def fitted(fit: Path) -> laws.Fit:
    return laws.Fit.from_json(fit.read_text())


@pytest.fixture
def minima(cli: Callable, table: Path, tmp_path: Path) -> Path:
    path = tmp_path / "minima.json"
    assert cli("fit", table, "--approach", 2, "--bootstrap", 0, "--out", path).code == 0
    return path


@pytest.fixture
def predict(cli: Callable, fit: Path) -> Callable:
    def ask(*options: object) -> tuple[dict, str]:
        words = cli("predict", fit, "--flops", BUDGET, *options)
        assert (words.code, words.err) == (0, "")
        return cli("predict", fit, "--flops", BUDGET, *options, "--json").json, words.out

    return ask


def test_sizes_that_cost_little_more(predict: Callable, fitted: laws.Fit) -> None:
    reported, words = predict()
    assert [entry["extra"] for entry in reported["sizes"]] == [0.05, 0.1, 0.2]
    for entry in reported["sizes"]:
        expected = laws.size_range(fitted, entry["extra"])
        assert entry["smallest"]["value"] == expected.smallest.value
        assert entry["largest"]["interval"] == list(expected.largest.interval)
    assert reported["params"] == fitted.optimal(BUDGET).params
    for share in ("5 %", "10 %", "20 %"):
        assert f"{share} more compute: N" in words
    assert not {"served", "repeated", "cost"} & set(reported)


def test_another_recipe_needs_more_by_its_coefficients(
    predict: Callable, fit: Path, fitted: laws.Fit, tmp_path: Path
) -> None:
    worse = {n: v * (1.1 if n in "AB" else 1) for n, v in fitted.params.items()}
    scale_P = np.array([1.1 if name in "AB" else 1.0 for name in worse])
    other = dataclasses.replace(fitted, params=worse, draws_BxP=fitted.draws_BxP * scale_P)
    path = tmp_path / "worse.json"
    path.write_text(other.to_json())
    reported, words = predict("--against", path)
    # Reducible losses fall as C^-gamma, so a tenth more of them costs 1.1^(1 / gamma).
    alpha, beta = fitted.params["alpha"], fitted.params["beta"]
    ratio = 1.1 ** -((alpha + beta) / (alpha * beta))
    assert reported["against"]["multiplier"]["value"] == pytest.approx(ratio, rel=1e-6)
    needed = reported["against"]["flops_needed"]["value"]
    assert needed == pytest.approx(BUDGET / ratio, rel=1e-6)
    assert "the recipe of worse.json needs" in words
    assert "--hold E=VALUE" not in words
    hopeless = dataclasses.replace(fitted, params={**fitted.params, "E": 5.0}, draws_BxP=None)
    path.write_text(hopeless.to_json())
    assert "never reaches this loss: its floor E is 5.0000" in predict("--against", path)[1]


def test_a_fit_without_losses_has_its_optimum_alone(cli: Callable, minima: Path) -> None:
    reported = cli("predict", minima, "--flops", BUDGET, "--json").json
    assert reported["params"] > 0
    assert "sizes" not in reported
    for options in (("--inference-tokens", 1e9), ("--unique-tokens", 1e6)):
        code, out, err = cli("predict", minima, "--flops", BUDGET, *options)
        assert (code, out) == (2, "")
        assert "approach 3" in err


def test_warnings_of_the_fit_come_first_and_all_notes_are_in_json(
    cli: Callable, fitted: laws.Fit, tmp_path: Path
) -> None:
    path = tmp_path / "doubtful.json"
    notes = (
        laws.Note(laws.NoteCode.COMPUTE_SPAN, "The data span 1.2 decades."),
        laws.Note(laws.NoteCode.SWEEP_IN_TABLE, "A sweep."),
    )
    path.write_text(dataclasses.replace(fitted, diagnostics=notes).to_json())
    options = ("predict", path, "--flops", BUDGET, "--unique-tokens", 1e6, "--against", path)
    words = cli(*options).out
    assert words.startswith("warning: A sweep.\n\nWith 1.6e14 FLOPs")
    assert "warning: doubtful.json: A sweep." in words
    assert "The data span" not in words
    reported = cli(*options, "--json").json["diagnostics"]
    codes = ["compute-span", "sweep-in-table", "repeats-decay", "sweep-in-table"]
    assert [entry["code"] for entry in reported] == codes
    assert [entry["severity"] for entry in reported] == ["note", "warning", "note", "warning"]
    assert f"note: {reported[2]['text']}" in words


def test_what_the_runs_say_beyond_the_fit(
    cli: Callable, table: Path, fit: Path, fitted: laws.Fit
) -> None:
    options = ("predict", fit, "--flops", BUDGET, "--records", table)
    bounded = cli(*options)
    assert (bounded.code, bounded.err) == (0, "")
    bounds = "note: All positive mixtures of power laws with a floor that pass through the measured"
    assert bounds in bounded.out
    assert "certificate" in [note["code"] for note in cli(*options, "--json").json["diagnostics"]]
    # At the data there is nothing to bound.
    assert bounds not in cli("predict", fit, "--flops", 1e12, "--records", table).out
    words = cli(*options, "--sensitivity", "--floors", 1.3).out
    assert bounds in words
    for case in ("chinchilla (the fit)", "E = 1.3", "without the largest budget", "weights C^1"):
        assert case in words
    reported = cli(*options, "--sensitivity", "--json").json["sensitivity"]
    assert reported["cases"][0]["loss"] == pytest.approx(fitted.optimal(BUDGET).loss)
    assert reported["left_out"] == 15


def test_a_table_is_fitted_by_the_average_of_forms(cli: Callable, table: Path) -> None:
    reported = cli("predict", table, "--params", 1e6, "--tokens", 2e7, "--json").json
    fit = laws.fit(table, law="auto")
    assert reported["loss"] == fit.predict(params=1e6, tokens=2e7).loss


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sensitivity",), "give --records TABLE"),
        (("--floors", 1.3), "--floors needs --sensitivity"),
        (("--records", "none.csv"), "none.csv is not a file"),
    ],
)
def test_questions_about_runs_need_the_runs(
    cli: Callable, fit: Path, options: tuple, words: str
) -> None:
    code, out, err = cli("predict", fit, "--flops", BUDGET, *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err


def test_records_of_another_fit_are_refused(
    cli: Callable, table: Path, fit: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("\n".join(table.read_text().splitlines()[:-1]))
    code, out, err = cli("predict", fit, "--flops", BUDGET, "--records", other)
    assert (code, out) == (2, "")
    assert "the fit is of other records than these" in err
    code, _, err = cli("predict", table, "--flops", BUDGET, "--records", other)
    assert code == 2
    assert "give one of the two" in err


def test_serving(predict: Callable, fitted: laws.Fit) -> None:
    reported, words = predict("--inference-tokens", 1e9)
    expected = laws.cheapest_served(fitted, laws.Demand(1e9), training_flops=BUDGET)
    assert reported["served"]["same_loss"]["params"]["value"] == expected.params.value
    assert reported["served"]["same_loss"]["loss"]["value"] == pytest.approx(reported["loss"])
    budget = reported["served"]["same_budget"]
    assert budget["cost"]["value"] == pytest.approx(BUDGET)
    assert budget["loss"]["value"] > reported["loss"]
    assert "To serve 1 B tokens, at the same loss:" in words
    assert f"saves {100 * expected.saving.value:.3g} %" in words


def test_serving_in_phases(predict: Callable, fitted: laws.Fit) -> None:
    tokens = ("--prefill-tokens", 2e8, "--decode-tokens", 8e8)
    alike, _ = predict(*tokens)
    together, _ = predict("--inference-tokens", 1e9)
    # Adding two counts up may round differently.
    assert alike["served"]["same_loss"]["params"]["value"] == pytest.approx(
        together["served"]["same_loss"]["params"]["value"], rel=1e-9
    )
    shares = ("--utilization", 0.5, "--prefill-utilization", 0.4, "--decode-utilization", 0.01)
    reported, words = predict(*tokens, *shares)
    rates = [laws.Rate(share) for share in (0.5, 0.4, 0.01)]
    expected = laws.cheapest_served(fitted, laws.Demand(2e8, 8e8, *rates), training_flops=BUDGET)
    assert reported["served"]["same_loss"]["params"]["value"] == expected.params.value
    assert reported["served"]["same_budget"]["cost"]["value"] == pytest.approx(BUDGET / 0.5)
    assert "training 50 %, prompts 40 %, generating 1 %" in words
    # A phase without a utilization of its own runs as training does.
    reported, words = predict(*tokens, "--decode-utilization", 0.01)
    assert "training 40 %, prompts 40 %, generating 1 %" in words


def test_unique_tokens(predict: Callable, fitted: laws.Fit) -> None:
    optimum = fitted.optimal(BUDGET)
    reported, words = predict("--unique-tokens", optimum.tokens / 20)
    expected = laws.repeated_optimum(fitted, flops=BUDGET, unique_tokens=optimum.tokens / 20)
    assert reported["repeated"]["epochs"]["value"] == expected.epochs.value > 1
    assert "epochs" in words
    assert "from below, not from above" in words
    reported, words = predict("--unique-tokens", optimum.tokens * 2)
    assert reported["repeated"]["epochs"]["value"] == pytest.approx(0.5)
    assert "none has to be repeated: the optimum reads 50 % of them" in words


def test_time_and_money(predict: Callable, cli: Callable, fit: Path) -> None:
    reported, words = predict(
        "--hardware", "h100", "--chips", 8, "--utilization", 0.5, "--price", 2.5
    )
    chip_hours = BUDGET / (989e12 * 0.5) / 3600
    assert reported["cost"]["hardware"] == "h100"
    assert reported["cost"]["chip_hours"] == pytest.approx(chip_hours)
    assert reported["cost"]["hours"] == pytest.approx(chip_hours / 8)
    assert reported["cost"]["price"] == pytest.approx(2.5 * chip_hours)
    for part in ("8 chips of h100", "9.89e+14 FLOP/s", "50 % of it assumed", "2.5 per chip-hour"):
        assert part in words
    plain, words = predict("--hardware", "h100")
    assert plain["cost"]["utilization"] == 0.4
    assert plain["cost"]["price"] is None
    assert "price" not in words
    run = cli("predict", fit, "--params", 1e6, "--tokens", 2e7, "--hardware", "h100", "--json").json
    assert run["cost"]["flops"] == 6 * 1e6 * 2e7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--price", 2), "--hardware"),
        (("--chips", 2), "--hardware"),
        (("--utilization", 0.5), "--hardware"),
        (("--inference-tokens", 1e9, "--utilization", 0.5), "--hardware"),
        (("--hardware", "h10"), "h100"),
        (("--hardware", "h100", "--utilization", 40), "0.4"),
        (("--hardware", "h100", "--chips", 0), "at least 1"),
        (("--hardware", "h100", "--price", -1), "negative"),
        (("--decode-utilization", 0.1), "--decode-tokens"),
        (("--inference-tokens", 1e9, "--decode-tokens", 1e9), "either it or"),
        (("--inference-tokens", 1e9, "--decode-utilization", 0.1), "--prefill-tokens"),
        (("--inference-tokens", -5), "-5"),
        (("--unique-tokens", 0), "unique_tokens 0"),
    ],
)
def test_options_that_do_not_fit_together(
    cli: Callable, fit: Path, options: tuple, words: str
) -> None:
    code, out, err = cli("predict", fit, "--flops", BUDGET, *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize("option", ["--unique-tokens", "--inference-tokens"])
def test_what_is_weighed_at_a_budget_needs_one(cli: Callable, fit: Path, option: str) -> None:
    code, out, err = cli("predict", fit, "--params", 1e6, "--tokens", 2e7, option, 1e8)
    assert (code, out) == (2, "")
    assert "--flops" in err
