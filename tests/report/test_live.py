"""The page of a study in training is complete at every moment; laws ignore unfinished runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import DataConfig
from scaling_jax.report.build import build_report, not_fitted
from scaling_jax.report.live import LiveReport
from scaling_jax.runs.curve import smoothed_loss
from scaling_jax.runs.result import write_result
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Store, StoredRun, Study
from scaling_jax.study.store import history
from tests.made_up import made_up_result

pytestmark = pytest.mark.usefixtures("svg_alone")

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&amp;"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    recipe = Recipe(DataConfig(), Family(256, 32), ConstantLR(1e-2), ConstantBatch(8))
    sizes = (5e3, 10e3, 20e3)
    return Store.create(tmp_path, Study("under-way", recipe, IsoFlop((2e9, 4e9), (sizes,) * 2)))


def law(run: StoredRun, steps: int) -> float:
    params = count_params(run.planned.config.shape).total
    return 1.5 + 30 / params**0.35 + 60 / (256 * steps) ** 0.32


def finish(run: StoredRun) -> None:
    config = run.planned.config
    train_loss = smoothed_loss([law(run, step) for step in range(1, config.steps + 1)])
    result = made_up_result(config, law(run, config.steps), train_loss=train_loss)
    write_result(run.directory, result, config)
    write_curve(run, config.steps)


def write_curve(run: StoredRun, steps: int) -> None:
    rows = [{"step": k, "tokens": 256 * k, "loss": law(run, k)} for k in range(1, steps + 1)]
    (run.directory / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def live(store: Store, page: Path) -> LiveReport:
    return LiveReport(store, page, every=20, bootstrap=0)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs had finished at each fit, of which none is made."""
    made: list[int] = []

    def counted(store: Store, **options: object) -> object:
        made.append(sum(run.result is not None for run in store.runs()))
        return not_fitted("a test")

    monkeypatch.setattr("scaling_jax.report.live.compare_finished", counted)
    return made


def test_a_page_follows_the_study_to_its_end(store: Store, tmp_path: Path, fits: list[int]) -> None:
    page = tmp_path / "pages" / "report.html"
    report = live(store, page)
    assert report.update()
    first = page.read_text()
    assert '<meta http-equiv="refresh" content="20">' in first
    assert "under way: 0 of 6 runs finished" in first
    assert "no run has finished yet" in first
    runs = store.runs()
    for run in runs[:-1]:
        finish(run)
    write_curve(runs[-1], 7)
    with runs[-1].lock():
        history.record(runs[-1].directory, "running")
        assert report.update()
        assert report.update()
    second = page.read_text()
    assert "under way: 5 of 6 runs finished" in second
    assert f"7 of {runs[-1].planned.config.steps:,}" in second
    assert "Dotted curves are runs that have not finished" in second
    finish(runs[-1])
    assert not report.update()
    last = page.read_text()
    assert "http-equiv" not in last
    assert "Under way" not in last
    assert fits == [5, 6]
    assert [path.name for path in page.parent.glob("*.html")] == ["report.html"]


def test_a_page_that_is_no_longer_rewritten_does_not_reload(store: Store, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    report = live(store, page)
    report.update()
    report.end()
    assert "http-equiv" not in page.read_text()
    assert "Under way" in page.read_text()


def test_laws_are_fitted_only_to_finished_runs(store: Store) -> None:
    runs = store.runs()
    for run in runs[:-1]:
        finish(run)
    before = build_report(store, bootstrap=0)
    write_curve(runs[-1], 7)
    after = build_report(store, bootstrap=0)
    assert after.curves is not None
    assert runs[-1].run_id in set(after.curves["run_id"])
    assert {k: fit.n_points for k, fit in after.fits.items()} == {
        k: fit.n_points for k, fit in before.fits.items()
    }
    assert {k: fit.params for k, fit in after.fits.items()} == {
        k: fit.params for k, fit in before.fits.items()
    }


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))


def test_hostile_names_and_notes_are_text(store: Store, tmp_path: Path) -> None:
    path = store.directory / "study.json"
    described = json.loads(path.read_text())
    described["name"] = HOSTILE
    described["recipe"]["data"]["corpus"] = HOSTILE
    path.write_text(json.dumps(described))
    failed, *_ = store.runs()
    history.record(failed.directory, "failed", reason=HOSTILE)
    page = tmp_path / "report.html"
    live(store, page).update()
    text, tags = page.read_text(), Tags()
    tags.feed(text)
    assert [tag for tag, _ in tags.found].count("script") == 1
    assert "<script>alert" not in text
    assert not [attrs for _, attrs in tags.found if any(name.startswith("on") for name in attrs)]
    assert not [attrs for tag, attrs in tags.found if tag == "img"]
    # In the title, the heading, the list of failures, the table of runs and the recipe.
    assert len(re.findall("&lt;script&gt;alert", text)) >= 5
