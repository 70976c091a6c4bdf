"""Studies are compared where they trained alike, or the reason is named."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.compared import write_comparison
from scaling_jax.runs.details import HeldOutDetails
from scaling_jax.study.status import compare_studies
from scaling_jax.study.status.loss_differences import loss_differences

N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 4), [1e8, 1e9, 1e10]))


def runs(better: float = 1, **columns: object) -> pd.DataFrame:
    loss = 1.7 + 400 / (better * N) ** 0.34 + 410 / (better * D) ** 0.28
    table = pd.DataFrame({"params": N, "tokens": D, "loss": loss})
    return table.assign(run_id=[f"{better}-{i}" for i in range(len(N))], **columns)


def details(shift: float, windows: str = "same") -> dict[str, HeldOutDetails]:
    window_N = np.linspace(2, 4, 64) + shift
    return {"run": HeldOutDetails(window_N, np.ones(1), np.ones(1), windows)}


def test_the_page_and_the_words_show_pairs_multiplier_and_exponents(tmp_path):
    tables = [runs(1, loss_stderr=0.003), runs(2, loss_stderr=0.004)]
    found = compare_studies(tables, bootstrap=20)
    (pair,) = found.pairs
    assert [cell.difference for cell in pair.cells] == pytest.approx(
        (tables[1]["loss"] - tables[0]["loss"]).to_numpy()[np.lexsort((D, N))]
    )
    assert {round(cell.stderr, 6) for cell in pair.cells} == {0.005}
    assert pair.multiplier.multiplier.value == pytest.approx(4, rel=0.01)
    text = str(found)
    assert "Compute multiplier 4" in text
    assert "unpaired, which is too wide" in text
    page = write_comparison(found, tmp_path / "compare.html").read_text()
    for shown in ("table 2 against table 1", "Compute multiplier 4", "figure-differences"):
        assert shown in page
    assert page.count("</title></use>") == len(pair.cells) + 2 * len(N)
    assert "a: N_opt" in page


def test_losses_of_studies_without_a_law_are_compared(tmp_path):
    few = [runs(better, loss_stderr=0.003).iloc[:4] for better in (1, 2)]
    found = compare_studies(few, bootstrap=0)
    (pair,) = found.pairs
    assert len(pair.cells) == 4
    assert (pair.multiplier, found.grouped.fits) == (None, {})
    for shown in (str(found), write_comparison(found, tmp_path / "compare.html").read_text()):
        assert "No law was fitted" in shown
        assert "No compute multiplier: table 1 was not fitted" in shown
        assert "Mean difference −" in shown.replace("&#8722;", "−")
    few[1] = few[1].assign(tokens=few[1]["tokens"] * 3)
    with pytest.raises(InputError, match="no study can be fitted, and table 1 has no run of the"):
        compare_studies(few, bootstrap=0)


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ({"tokenizer": "bytes"}, {"tokenizer": "hf:x.json"}, "tokenizer bytes and hf:x.json"),
        (
            {"tokenizer": "hf:a", "data_fingerprint": "0"},
            {"tokenizer": "hf:b", "data_fingerprint": "1"},
            "tokenizer hf:a and hf:b",
        ),
        ({"data_fingerprint": "0"}, {"data_fingerprint": "1"}, "data_fingerprint 0 and 1"),
        ({"eval_tokens": 1024}, {"eval_tokens": 2048}, "eval_tokens 1024 and 2048"),
    ],
)
def test_losses_of_other_texts_are_not_compared(tmp_path, ours, theirs, reason):
    found = compare_studies([runs(1, **ours), runs(2, **theirs)], bootstrap=0)
    (pair,) = found.pairs
    assert (pair.cells, pair.mean, pair.multiplier) == ((), None, None)
    assert pair.differing == reason
    assert f"not compared, since they differ in {reason}." in str(found)
    page = write_comparison(found, tmp_path / "compare.html").read_text()
    assert reason in page.split("</header>")[0]
    assert "figure-by-loss" not in page
    assert "figure-by-size" in page


def test_tokens_of_a_file_that_moved_are_the_same_text():
    same = {"data_fingerprint": "0"}
    a, b = runs(1, tokenizer="hf:a", **same), runs(2, tokenizer="hf:b", **same)
    assert compare_studies([a, b], bootstrap=0).pairs[0].differing == ""


def test_losses_by_window_are_paired_and_seeds_add_their_scatter():
    a = pd.DataFrame({"run_id": ["run"], "params": [1e6], "tokens": [1e8], "loss": [3.0]})
    a["loss_stderr"] = 0.07
    (cell,) = loss_differences(a, a.assign(loss=2.9), details(0), details(-0.1))
    assert cell.paired
    assert cell.difference == pytest.approx(-0.1)
    assert cell.stderr == pytest.approx(0, abs=1e-9)
    (cell,) = loss_differences(a, a.assign(loss=2.9), details(0), details(-0.1, "other"))
    assert not cell.paired
    assert cell.stderr == pytest.approx(0.07 * 2**0.5)
    seeds = pd.concat([a, a.assign(loss=3.2)])
    (cell,) = loss_differences(seeds, seeds, details(0), details(-0.1))
    assert (cell.n_a, cell.n_b) == (2, 2)
    assert cell.stderr == pytest.approx(0.1 * 2**0.5)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="two studies or tables"):
        compare_studies([runs()])
    found = compare_studies([runs(), runs().assign(params=2 * N)], bootstrap=0)
    assert "no model of the same size and length" in str(found)
