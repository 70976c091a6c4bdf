"""Bad tables given to `fit`: the row and the column are named, and written files stay."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture
def refused(cli: Callable, table: Path) -> Callable[..., str]:
    """Fit a table that must be refused over an earlier fit, and give the message."""
    earlier = table.with_name("fit.json")
    earlier.write_text("an earlier fit")

    def run(*options: object) -> str:
        before = {path: path.read_bytes() for path in table.parent.iterdir()}
        code, out, err = cli("fit", table, "--bootstrap", 20, "--out", earlier, *options)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert {path: path.read_bytes() for path in table.parent.iterdir()} == before
        return err

    return run


def rewrite(table: Path, **columns: object) -> None:
    pd.read_csv(table).assign(**columns).to_csv(table, index=False)


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "", "3.1a"])
@pytest.mark.parametrize("column", ["params", "tokens", "loss"])
def test_what_is_not_a_number(column: str, cell: str, refused: Callable, table: Path) -> None:
    lines = table.read_text().splitlines()
    at = lines[0].split(",").index(column)
    cells = lines[4].split(",")
    lines[4] = ",".join([*cells[:at], cell, *cells[at + 1 :]])
    table.write_text("\n".join(lines) + "\n")
    message = refused()
    assert f"line 5, column {column!r}" in message
    assert repr(cell) in message


def test_row_pasted_twice_is_warned_of_and_fitted(cli: Callable, table: Path) -> None:
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[3]]) + "\n")
    printed = cli("fit", table, "--bootstrap", 0).out
    assert (
        f"warning: Are rows there twice? In the table, line 4 and line {len(lines) + 1}" in printed
    )


def test_negative_weight(refused: Callable, table: Path) -> None:
    rewrite(table, weight=[1.0] * 6 + [-0.5] + [1.0] * 8)
    message = refused()
    assert "line 8, column 'weight'" in message
    assert "at least 0" in message


def test_weight_of_zero_leaves_a_row_out(cli: Callable, table: Path) -> None:
    fewer = pd.read_csv(table).drop(index=6)
    rewrite(table, weight=[1.0] * 6 + [0.0] + [1.0] * 8)
    printed = cli("fit", table, "--bootstrap", 0, "--json").json
    assert printed["n_points"] == 14
    fewer.to_csv(table, index=False)
    assert cli("fit", table, "--bootstrap", 0, "--json").json["params"] == printed["params"]


@pytest.mark.parametrize("excess", [0.0, 0.1])
def test_loss_at_or_below_the_floor_that_is_held(
    excess: float, refused: Callable, table: Path
) -> None:
    losses = pd.read_csv(table)["loss"]
    message = refused("--hold", f"E={float(losses.min() + excess)!r}")
    assert f"line {losses.idxmin() + 2}, column 'loss'" in message


def test_law_of_other_columns(refused: Callable) -> None:
    message = refused("--law", "width-depth")
    assert "'width-depth'" in message
    assert "lacks the column 'd_model'" in message


@pytest.mark.parametrize(
    ("run_ids", "words"),
    [
        (None, "'run_id'"),
        (["a"] * 3 + [None] + ["b"] * 11, "line 5, column 'run_id'"),
        (["a"] * 15, "column 'run_id'"),
    ],
)
def test_ragged_clusters(
    run_ids: list[str] | None, words: str, refused: Callable, table: Path
) -> None:
    if run_ids:
        rewrite(table, run_id=run_ids)
    assert words in refused("--resampling", "runs")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"params,tokens,loss\n", "no rows"),
        ("params,tokens,loss\n1e6,2e7,3 \u00b1 1\n".encode("latin-1"), "UTF-8"),
        ("params,tokens,loss\n1e6,2e7,3\n".encode("utf-16"), "UTF-8"),
        (b"params|tokens|loss\n1e6|2e7|3\n", "'params'"),
        (b"params;tokens;loss\n1e6;2e7;3,5\n", "line 2, column 'loss': '3,5'"),
        (b"\x80\x04\x95pickle", "UTF-8"),
    ],
)
def test_file_that_is_no_table(content: bytes, words: str, refused: Callable, table: Path) -> None:
    table.write_bytes(content)
    assert words in refused()


def test_units_by_mistake_are_questioned_in_words(cli: Callable, table: Path) -> None:
    rewrite(table, params=pd.read_csv(table)["params"] / 1e6)
    code, out, _ = cli("fit", table, "--bootstrap", 0)
    assert code == 0
    assert "warning: Are params in millions or billions?" in out
