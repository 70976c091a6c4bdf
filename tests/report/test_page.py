"""The page loads nothing, shows the optimum and the verification, and lists every run."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest

from scaling_jax import formatting
from scaling_jax.laws import Note, NoteCode
from scaling_jax.report import ReportData, write_report
from scaling_jax.report.summary import summarize
from tests.report.study import TARGET, FakeFit, fits, optimum, report_data

LOADING = {"link", "img", "iframe", "object", "embed", "audio", "video", "source", "base"}


class Elements(HTMLParser):
    """All start tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def write(directory: Path, data: ReportData) -> str:
    return write_report(data, directory / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    write(directory, report_data())
    return directory


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_loads_nothing_from_elsewhere(page: str) -> None:
    elements = Elements(page).found
    assert not LOADING & {tag for tag, _ in elements}
    assert [attributes for tag, attributes in elements if tag == "script"] == [{}]
    assert not re.search(
        r"fetch|XMLHttp|import\(|https?://(?!www\.w3\.org)", page.split("<script>")[1]
    )
    targets = [a[k] for _, a in elements for k in ("src", "href", "xlink:href") if k in a]
    assert all(target.startswith("#") for target in targets)
    assert "@import" not in page
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", page))


def test_page_gives_the_optimum_and_the_verification(page: str) -> None:
    params = fits()[3].optimal(TARGET).params
    assert f"{formatting.count(params)} parameters" in page
    low, high = fits()[3].optimal(TARGET).params_interval
    assert f"{formatting.interval((low, high))}" in page
    assert f"{optimum(TARGET)[0]:.2e}" not in page
    assert "+0.60" in page
    assert "inside the 90" in page


def test_warnings_stand_under_the_headline_and_before_the_other_notes(page: str) -> None:
    head, rest = page.split("</header>")
    assert head.index('class="answer"') < head.index("Warning: The grid drifts.")
    assert head.index("Warning: The grid drifts.") < head.index('class="numbers"')
    assert "The data fill" not in head
    warned = rest.index("<li>Warning: The grid drifts.</li>")
    assert warned < rest.index("<li>The data fill 1.2 decades of compute.</li>")


def test_sizes_are_listed_with_the_point_where_training_would_stop(page: str) -> None:
    text = page.replace(formatting.SPACE, " ")
    cells = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>.*?</tr>", text)]
    assert ["10 k", "1e10 to 1e11", "2.5000 to 2.0000", "2.0900", "5e10", "830 k"] in cells
    assert ["100 k", "never", "", "1.6500", "not reached", ""] in cells
    assert ["1 M", "never", "", "", "", ""] in cells


@pytest.mark.usefixtures("svg_alone")
def test_a_measurement_outside_the_interval_is_reported(tmp_path: Path) -> None:
    data = report_data(curves=None, fits={})
    assert data.verification is not None
    missed = dataclasses.replace(data.verification, inside_interval=False)
    page = write(tmp_path, dataclasses.replace(data, verification=missed))
    assert "outside the 90" in page
    assert "inside the 90" not in page


def test_every_run_is_listed_and_lost_ones_are_marked(page: str) -> None:
    rows = re.findall(r'<tr class="([^"]*)"><td[^>]*><code>([^<]*)</code>(.*)</tr>', page)
    records = report_data().records
    assert {name for _, name, _ in rows} == set(records["run_id"])
    lost = {name for css, name, _ in rows if "lost" in css}
    assert lost == set(records[records["status"].isin(["diverged", "failed"])]["run_id"])
    assert "✕ diverged" in page
    assert "ran out of memory" in page


@pytest.mark.usefixtures("svg_alone")
def test_names_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    hostile_note = Note(NoteCode.GRID_DRIFTS, "<script>")
    data = report_data(curves=None, fits={2: FakeFit(2, diagnostics=(hostile_note,))})
    records = data.records.assign(run_id=[f"{hostile}{i}" for i in range(len(data.records))])
    assert data.verification is not None
    page = write(
        tmp_path,
        dataclasses.replace(
            data,
            title=hostile,
            records=records,
            verification=dataclasses.replace(data.verification, run_id=hostile),
            recipe={hostile: hostile},
            commands=(hostile,),
            provenance={hostile: hostile},
            seconds={hostile: 1.0},
        ),
    )
    assert page.count("<script") == 1
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;") > len(records)


def test_every_point_of_a_run_has_its_own_title(page: str) -> None:
    by_figure = re.split(r'<figure id="figure-', page)[1:]
    titled = {
        figure.split('"')[0]: re.findall(
            r"<use [^>]*><title>(\S+)\n(.*?)\n(?:.|\n)*?</title></use>", figure.split("<details")[0]
        )
        for figure in by_figure
    }
    records = report_data().records
    trained = records[(records["status"] == "finished") & (records["role"] == "grid")]
    for name in ("predicted", "residuals-tokens"):
        assert [run for run, _ in titled[name]] == list(trained["run_id"])
    for run, text in titled["predicted"]:
        params = trained.set_index("run_id").loc[run, "params"]
        assert text.startswith(formatting.plain_spaces(formatting.count(params)))
    shown = {run for run, _ in titled["isoflop"]}
    assert set(trained["run_id"]) <= shown


def test_published_lines_are_shown_on_demand(page: str) -> None:
    first, beside = page.split('id="figure-frontier-params"')[1].split("<details>", 1)
    assert "Kaplan" not in first
    assert "Kaplan et al. (who do not count embeddings)" in beside.split("</details>")[0]


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 100
    used = re.findall(r'href="#([^"]+)"', page) + re.findall(r"url\(#([^)]+)\)", page)
    assert set(used) <= set(ids)


def test_same_data_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, report_data())
    written = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert {p.suffix for p in written} == {".html", ".svg", ".pdf"}
    for name in written:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


@pytest.mark.usefixtures("svg_alone")
def test_matplotlib_settings_are_restored(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    write(tmp_path, report_data(curves=None, fits={}))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.usefixtures("svg_alone")
@pytest.mark.parametrize("approach", [1, 2, 3])
def test_one_approach_alone(tmp_path: Path, approach: int) -> None:
    page = write(tmp_path, report_data(fits={approach: fits()[approach]}, verification=None))
    assert ("figure-predicted" in page) == (approach == 3)
    assert "figure-frontier-params" in page
    assert "Test of the prediction" not in page


def test_without_curves_fits_or_losses(tmp_path: Path) -> None:
    data = report_data(curves=None, fits={}, verification=None)
    records = data.records.assign(status="diverged", loss=float("nan"))
    page = write(tmp_path, dataclasses.replace(data, records=records))
    assert "No law was fitted" in page
    assert "<figure" not in page
    assert page.count("✕ ") == len(records)


@pytest.mark.usefixtures("svg_alone")
def test_losses_of_mixed_kind_are_read(tmp_path: Path) -> None:
    data = report_data()
    # A table with runs yet to start holds None beside floats.
    planned = {**data.records.iloc[0].to_dict(), "run_id": "later", "status": "planned"}
    planned |= {"loss": None, "loss_stderr": None, "bits_per_byte": None, "seconds": None}
    rows = [*data.records.to_dict("records"), planned]
    page = write(tmp_path, dataclasses.replace(data, records=pd.DataFrame(rows, dtype=object)))
    assert "later" in page


@pytest.mark.usefixtures("svg_alone")
def test_losses_are_in_the_unit_of_the_fit(tmp_path: Path) -> None:
    data = report_data()
    for unit, text in (("bits per byte", " bits per byte."), ("", ".")):
        of_unit = {k: dataclasses.replace(fit, unit=unit) for k, fit in data.fits.items()}
        changed = dataclasses.replace(data, fits=of_unit)
        assert re.search(rf"a loss of [\d.]+\d{re.escape(text)}$", summarize(changed).sentence)
        write_report(changed, tmp_path / "unit.html")
        assert "nats per token" not in (tmp_path / "unit.html").read_text()
