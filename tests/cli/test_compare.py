"""The approaches side by side, from the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.study import Store


@pytest.fixture
def without_groups(table: Path) -> Path:
    """Runs that only approach 3 can read."""
    frame = pd.read_csv(table).drop(columns="budget")
    frame["tokens"] *= [1 + (7 * i % 11) / 5 for i in range(len(frame))]
    frame.to_csv(table, index=False)
    return table


def test_all_approaches_of_a_store_are_laid_side_by_side(cli: Callable, store: Store) -> None:
    reported = cli("fit", store.directory, "--approach", "all", "--bootstrap", 20, "--json").json
    assert sorted(reported["allocations"]) == ["2", "3"]
    assert "approach 1 needs 3: train more sizes" in reported["refused"]["1"]
    for allocation in reported["allocations"].values():
        assert set(allocation["exponents"]) == {"a", "b"}
        largest, beyond = allocation["optima"]
        assert beyond["flops"] == pytest.approx(10 * largest["flops"])
        assert largest["params_interval"][0] <= largest["params"] <= largest["params_interval"][1]


def test_words_have_a_row_per_approach_and_say_which_is_missing(cli: Callable, table: Path) -> None:
    code, out, err = cli("fit", table, "--approach", "all", "--bootstrap", 20)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert sum(line.startswith("2: IsoFLOP minima by parabola") for line in lines) == 3
    assert sum(line.startswith("3: parametric law chinchilla") for line in lines) == 3
    assert "approach 1 was not fitted: the curves lack the column 'run_id'" in out
    optimum = laws.fit(table, bootstrap=0).optimal(1.6e14)
    assert f"{optimum.loss:.4f}" in out
    assert "N counts every parameter" in out


def test_one_approach_alone_is_still_compared(cli: Callable, without_groups: Path) -> None:
    reported = cli("fit", without_groups, "--approach", "all", "--bootstrap", 0, "--json").json
    assert list(reported["allocations"]) == ["3"]
    assert "budget" in reported["refused"]["2"]


def test_what_cannot_be_compared_is_refused(cli: Callable, table: Path, tmp_path: Path) -> None:
    code, out, err = cli("fit", table, "--approach", "all", "--out", tmp_path / "fit.json")
    assert (code, out) == (2, "")
    assert "give --approach 1, 2 or 3 with --out" in err
    assert not (tmp_path / "fit.json").exists()
    pd.read_csv(table).head(3).to_csv(table, index=False)
    code, out, err = cli("fit", table, "--approach", "all")
    assert (code, out) == (2, "")
    for approach in (1, 2, 3):
        assert f"approach {approach}: " in err
    assert err.count("\n") == 1
