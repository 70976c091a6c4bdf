"""The page of a table of losses, which needs no study."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.report import write_report
from scaling_jax.report.of_table import table_report
from tests.report.study import BUDGETS, law, optimum

pytestmark = pytest.mark.usefixtures("svg_alone")

SHARES = (0.2, 0.45, 1.0, 2.2, 5.0)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Five sizes at each of five budgets, by a known law with a little scatter."""
    rows = [
        {"params": n, "tokens": c / 6 / n, "budget": c}
        for c in BUDGETS
        for n in (optimum(c)[0] * share for share in SHARES)
    ]
    frame = pd.DataFrame(rows)
    scatter = 1 + 1e-3 * np.random.default_rng(0).standard_normal(len(frame))
    return frame.assign(loss=law(frame["params"], frame["tokens"]) * scatter)


@pytest.fixture(scope="module")
def page(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("table") / "losses.csv"
    table.to_csv(path, index=False)
    data = table_report(path, bootstrap=20)
    return write_report(data, path.with_suffix(".html")).read_text(encoding="utf-8")


def test_the_page_has_all_that_needs_no_curves(page: str, table: pd.DataFrame) -> None:
    figures = re.findall(r'<figure id="figure-(.*?)">', page)
    assert figures == [
        *("isoflop", "frontier-params", "frontier-tokens", "predicted"),
        *("residuals-params", "residuals-tokens", "residuals-flops"),
    ]
    assert "<h1>losses.csv</h1>" in page
    assert "Scaling laws of a table" in page
    # The optimum at ten times the largest budget.
    assert f"With {formatting.flops(10 * BUDGETS[-1])} FLOPs, train a model of" in page
    assert "Constants of the fitted law (<code>chinchilla</code>)" in page
    assert page.count("<code>line ") == len(table)


def test_the_page_leaves_out_what_the_table_does_not_say(page: str) -> None:
    headings = re.findall(r"<th>(.*?)</th>", page[page.index("<h2>The runs</h2>") :])
    assert headings == [*("Run", "Status", "Parameters", "Tokens", "FLOPs", "Tokens/param", "Loss")]
    assert "nats" not in page
    for heading in ("Recipe", "Where the time went", "Provenance"):
        assert f"<h2>{heading}</h2>" not in page


def test_the_unit_the_names_and_the_runs_of_a_table_are_its_own(table: pd.DataFrame) -> None:
    theirs = table.rename(columns={"params": "size"}).assign(
        run_id=[f"run-{i}" for i in range(len(table))], batch_size=32
    )
    data = table_report(theirs, columns={"params": "size"}, unit="bits per byte", bootstrap=20)
    assert data.unit == "bits per byte"
    assert list(data.records["run_id"]) == list(theirs["run_id"])
    assert data.title == "Table of losses"
    assert data.commands == ()


def test_a_verification_row_is_compared_and_rows_that_are_left_out_are_listed(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    params, tokens = optimum(8e12)
    rows = table.assign(status="finished", role="grid")
    more = pd.DataFrame(
        [
            dict(params=params, tokens=tokens, loss=law(params, tokens), role="verification"),
            dict(params=2e4, tokens=1e6, loss=np.nan, status="crashed", budget=1.2e11),
        ]
    )
    rows = pd.concat([rows, more], ignore_index=True)
    data = table_report(rows, bootstrap=20)
    assert data.target_flops == pytest.approx(8e12)
    check = data.verification
    assert check is not None
    assert check.predicted == pytest.approx(check.measured, rel=0.01)
    assert check.measured_stderr is None
    assert list(data.records["status"])[-2:] == ["finished", "failed"]
    assert data.fits[3].n_points == len(table)
    page = write_report(data, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 of them diverged or failed" in page
    assert f"{len(rows)} runs." in page


def test_approaches_that_a_table_does_not_allow_are_noted(table: pd.DataFrame) -> None:
    one_each = table.drop(columns="budget").sample(12, random_state=0)
    data = table_report(one_each.assign(tokens=one_each["tokens"] * np.arange(1, 13)), bootstrap=0)
    assert sorted(data.fits) == [3]
    assert sorted(data.refused) == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_flops": -1.0}, "target of -1.0 FLOPs must be positive"),
        ({"law": "data-constrained"}, "a report is of laws of the loss in params and tokens"),
        ({"law": "chinchila"}, "did you mean 'chinchilla'"),
        ({"columns": {"params": "size"}}, "no column 'size'"),
    ],
)
def test_what_makes_no_page_is_refused(
    table: pd.DataFrame, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        table_report(table, **options)  # type: ignore[arg-type]
