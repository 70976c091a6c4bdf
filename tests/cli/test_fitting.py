import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling_jax import laws
from scaling_jax.study import Store


@pytest.fixture
def fit(cli: Callable, table: Path, tmp_path: Path) -> Path:
    path = tmp_path / "fit.json"
    assert cli("fit", table, "--bootstrap", 20, "--out", path).code == 0
    return path


def test_json_is_the_fit_with_its_constants(cli: Callable, table: Path) -> None:
    code, out, err = cli("fit", table, "--bootstrap", 0, "--json")
    assert (code, err) == (0, "")
    reported = json.loads(out)
    expected = laws.fit(table, bootstrap=0)
    assert reported["params"] == expected.params
    assert reported["exponents"] == expected.exponents
    assert reported["n_points"] == 15
    assert reported["intervals"] is None
    assert reported["diagnostics"] == [note.as_data() for note in expected.diagnostics]


def test_words_say_law_count_optimum_and_diagnostics(cli: Callable, table: Path) -> None:
    code, out, err = cli("fit", table, "--bootstrap", 20)
    assert (code, err) == (0, "")
    for part in (
        "chinchilla",
        "N counts every parameter",
        "alpha",
        "N_opt grows as C^a",
        "At the largest budget, 1.6e13 FLOPs",
        "At 10 times that, 1.6e14 FLOPs",
        "90 % interval",
        "note: ",
    ):
        assert part in out


def test_store_is_fitted_without_what_did_not_finish(cli: Callable, store: Store) -> None:
    reported = cli("fit", store.directory, "--bootstrap", 0, "--json").json
    assert reported["n_points"] == len(store.runs()) - 3
    assert sum(reported["n_dropped"].values()) == 3


def test_approach_1_refuses_curves_of_too_few_sizes(cli: Callable, store: Store) -> None:
    outcome = cli("fit", store.directory, "--approach", 1)
    assert outcome.code == 2
    assert "2 of 5 sizes, 32.9 k to 479 k parameters" in outcome.err
    assert "approach 1 needs 3" in outcome.err


def test_approach_2_on_a_store(cli: Callable, store: Store) -> None:
    reported = cli("fit", store.directory, "--approach", 2, "--bootstrap", 20, "--json").json
    assert reported["approach"] == 2
    (low, high), a = reported["exponent_intervals"]["a"], reported["exponents"]["a"]
    # Losses without noise give the same exponent in every resample, but for rounding.
    assert low - 1e-9 <= a <= high + 1e-9


def test_count_is_taken_and_told(cli: Callable, store: Store) -> None:
    outcome = cli("fit", store.directory, "--count", "non_embedding", "--bootstrap", 0)
    assert outcome.code == 0
    assert "N counts parameters without embeddings" in outcome.out


def test_optimum_of_a_stored_fit(cli: Callable, fit: Path) -> None:
    reported = cli("predict", fit, "--flops", 1.6e14, "--json").json
    expected = laws.Fit.from_json(fit.read_text()).optimal(1.6e14)
    assert reported["params"] == expected.params
    assert reported["extrapolation"] == pytest.approx(10)
    assert reported["loss_interval"][0] <= reported["loss"] <= reported["loss_interval"][1]
    assert "10 times the largest fitted budget" in cli("predict", fit, "--flops", 1.6e14).out


def test_loss_of_a_stored_fit(cli: Callable, fit: Path) -> None:
    reported = cli("predict", fit, "--params", 1e6, "--tokens", 2e7, "--json").json
    expected = laws.Fit.from_json(fit.read_text()).predict(params=1e6, tokens=2e7)
    assert reported["loss"] == expected.loss
    assert reported["interval"][0] < reported["loss"] < reported["interval"][1]
    words = cli("predict", fit, "--params", 1e6, "--tokens", 2e7).out
    assert "of a measured run" in words
    assert "of the law, with the error of its form" in words
    assert "by resampling alone, if the law's form were right" in words
    assert reported["resampling_interval"][0] > reported["interval"][0]
    for name in ("runs", "noise of the fit", "distance"):
        assert f"{name} {100 * reported['parts'][name.split()[0]]:.2g} %" in words
    assert "What narrows it most: " in words
    assert "7.5 times the largest fitted budget" in words


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--params", 1e6),
        ("--tokens", 1e6),
        ("--flops", 1e20, "--params", 1e6, "--tokens", 1e8),
        ("--flops", "nan"),
        ("--params", -1.0, "--tokens", 1e8),
    ],
)
def test_questions_that_cannot_be_answered(cli: Callable, fit: Path, options: tuple) -> None:
    code, out, err = cli("predict", fit, *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_loss_is_refused_by_an_approach_without_one(
    cli: Callable, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "minima.json"
    assert cli("fit", table, "--approach", 2, "--bootstrap", 0, "--out", path).code == 0
    code, out, err = cli("predict", path, "--params", 1e6, "--tokens", 2e7)
    assert (code, out) == (2, "")
    assert "approach 3" in err
