import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scaling_jax.laws import read_table
from scaling_jax.report.build import build_report
from scaling_jax.study import PlannedRun, Store, Study, collect, curves

pytestmark = pytest.mark.usefixtures("svg_alone")


def test_status_counts_and_names_failures(cli: Callable, store: Store) -> None:
    status = cli("status", store.directory, "--law", "none", "--json").json
    n = len(store.runs())
    assert status["runs"] == n
    assert status["states"] == {"finished": n - 3, "diverged": 1, "failed": 1, "planned": 1}
    reasons = {failure["state"]: failure["reason"] for failure in status["failures"]}
    assert reasons["failed"] == "RuntimeError: out of memory"
    assert "not finite at step" in reasons["diverged"]
    assert sum(row["finished"] for row in status["budgets"]) == n - 3
    first = status["budgets"][0]
    losses = collect(store)["loss"][collect(store)["budget"] == first["budget"]]
    assert first["best_loss"] == losses.min()


def test_time_left_is_what_the_finished_rate_gives(cli: Callable, store: Store) -> None:
    records = collect(store)
    # Failed for good, so no process will take it up again.
    left = records[records["status"] == "planned"]
    status = cli("status", store.directory, "--law", "none", "--json").json
    # Runs of every size trained at 1e5 tokens per second.
    assert status["seconds_left"] == pytest.approx(left["tokens"].sum() / 1e5, rel=1e-6)


def test_status_in_words(cli: Callable, store: Store) -> None:
    code, out, err = cli("status", store.directory, "--law", "none")
    assert (code, err) == (0, "")
    assert "out of memory" in out
    assert "time left" in out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_collect_writes_every_run(cli: Callable, store: Store, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"records.{ending}"
    code, out, err = cli("collect", store.directory, "--out", path)
    assert (code, out) == (0, "")
    assert str(path) in err
    read = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    assert len(read) == len(store.runs())
    pd.testing.assert_series_equal(read["loss"], collect(store)["loss"])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_collect_writes_curves(cli: Callable, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    assert cli("collect", store.directory, "--curves", "--out", path).code == 0
    pd.testing.assert_frame_equal(pd.read_csv(path), curves(store), check_dtype=False)


def test_report_shows_fits_and_refusals(cli: Callable, store: Store, tmp_path: Path) -> None:
    for run in store.runs():
        (run.directory / "metrics.jsonl").unlink(missing_ok=True)
    path = tmp_path / "report.html"
    code, out, err = cli("report", store.directory, "--out", path, "--flops", 5e14)
    assert (code, out) == (0, "")
    assert "approach 1 was not fitted" in err
    page = path.read_text()
    assert "Not fitted: " in page
    assert "With 5e14 FLOPs" in page
    for run in store.runs():
        assert run.run_id in page


def test_report_of_a_table(cli: Callable, table: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    code, out, err = cli("report", table, "--out", path, "--unit", "nats")
    assert (code, out) == (0, "")
    assert "approach 1 was not fitted" in err
    assert "nats per token" in path.read_text()
    for options, message in (
        ((table, "--watch"), "a table does not change, so --watch does not apply"),
        ((tmp_path / "none.csv",), "none.csv is not a file"),
        ((tmp_path, "--columns", "params=n"), "columns and unit are known, so --columns"),
    ):
        code, _, err = cli("report", *options, "--out", path)
        assert (code, message in err) == (2, True), err


def test_report_of_a_study_that_has_hardly_begun(
    cli: Callable, store: Store, tmp_path: Path
) -> None:
    for run in store.runs():
        (run.directory / "result.json").unlink(missing_ok=True)
    path = tmp_path / "report.html"
    assert cli("report", store.directory, "--out", path).code == 0
    assert "No law is fitted yet" in path.read_text()


def test_a_page_is_written_again_until_ctrl_c(
    cli: Callable, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in store.runs():
        (run.directory / "result.json").unlink(missing_ok=True)
    path, pages = tmp_path / "report.html", []

    def interrupted(seconds: float) -> None:
        pages.append(path.read_text())
        if len(pages) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    command = ("report", store.directory, "--out", path, "--watch", "--every", 9)
    code, out, err = cli(*command)
    assert (code, out, err) == (0, "", f"wrote {path}\n")
    assert all('http-equiv="refresh" content="9"' in page for page in pages)
    assert "http-equiv" not in path.read_text()
    assert cli(*command[:-1], 0).code == 2


def test_verification_run_is_compared_and_never_fitted(
    store: Store, study: Study, finish: Callable
) -> None:
    without = build_report(store, bootstrap=20)
    assert without.verification is None
    assert without.target_flops == 10 * collect(store)["budget"].max()
    config = study.recipe.for_budget(study.recipe.family.nearest(1e6), 6.4e13)
    finish(store.add(PlannedRun(config, 6.4e13, "verification", "6nd")), "finished")
    data = build_report(store, bootstrap=20)
    assert data.target_flops == pytest.approx(6.4e13, rel=0.005)
    assert data.fits[3].params == without.fits[3].params
    check = data.verification
    assert check is not None
    assert check.run_id == config.run_id
    # The store's losses follow the fitted law exactly.
    assert check.measured == pytest.approx(check.predicted, rel=1e-3)
    assert check.error_percent == pytest.approx(100 * (check.measured / check.predicted - 1))


def test_runs_are_cancelled_and_wanted_again(cli: Callable, store: Store) -> None:
    finished, planned = store.runs()[0].run_id, store.runs()[-1].run_id
    assert cli("cancel", store.directory, planned).err == f"{planned} cancelled\n"
    assert list(collect(store)["status"])[-1] == "cancelled"
    assert (
        cli("status", store.directory, "--law", "none", "--json").json["states"]["cancelled"] == 1
    )
    code, _, err = cli("cancel", store.directory, finished)
    assert (code, "is finished" in err) == (2, True)
    code, _, err = cli("cancel", store.directory, planned[:-1] + "x")
    assert (code, f"did you mean {planned!r}?" in err) == (2, True)
    assert cli("cancel", store.directory).code == 2
    assert cli("cancel", store.directory, planned, "--undo").code == 0
    assert store.runs()[-1].state == "planned"


def test_groups_of_a_table_are_fitted_collected_and_reported(
    cli: Callable, store: Store, tmp_path: Path
) -> None:
    records = collect(store)
    both = pd.concat(records.assign(variation=f"loss+{i}", loss=records.loss + i) for i in (0, 1))
    path, page = tmp_path / "both.csv", tmp_path / "page.html"
    both.to_csv(path, index=False)
    fitted = cli("fit", path, "--by", "variation=loss+1", "--bootstrap", "0", "--json").json
    assert [*fitted["fits"]] == ["loss+1", "loss+0"]
    assert {each["group"] for each in fitted["differences"]} == {"loss+0"}
    refused = cli("fit", path, "--by", "variation", "--at", "params=1e6", "tokens=1e7")
    assert (refused.code, refused.out) == (2, "")
    assert "--by fits several laws, so --at does not apply" in refused.err
    assert cli("report", path, "--by", "variation", "--out", page).code == 0
    assert "loss+1" in page.read_text()
    assert {f.name for f in (tmp_path / "page_figures").glob("*.svg")} == {
        "by-loss.svg",
        "by-size.svg",
    }
    code, _, err = cli("collect", store.directory, "--by", "variation", "--out", tmp_path / "x.csv")
    assert code == 2
    assert "column 'variation' has no values" in err


@pytest.mark.parametrize(
    ("format_", "ending", "loss"),
    [("wandb", "csv", "loss"), ("nanochat", "csv", "bits_per_byte"), ("marin", "jsonl", None)],
)
def test_collect_writes_what_fit_reads_again(
    cli: Callable, store: Store, tmp_path: Path, format_: str, ending: str, loss: str | None
) -> None:
    out = tmp_path / f"table.{ending}"
    assert cli("collect", store.directory, "--out", out, "--format", format_).code == 0
    read = read_table(out)
    ours = collect(store)
    finished = ours[ours["status"] == "finished"]
    read = read[read["loss"].notna()]
    assert (read["params"].to_numpy(float) == finished["params"].to_numpy(float)).all()
    assert (read["tokens"].to_numpy(float) == finished["tokens"].to_numpy(float)).all()
    expected = finished[loss or "bits_per_byte"].to_numpy(float)
    assert read["loss"].to_numpy(float) == pytest.approx(expected, rel=1e-12)


def test_a_format_has_one_ending(cli: Callable, store: Store, tmp_path: Path) -> None:
    code, _, err = cli("collect", store.directory, "--out", tmp_path / "t.csv", "--format", "marin")
    assert (code, (tmp_path / "t.csv").exists()) == (2, False)
    assert ".jsonl" in err
