"""The functions of `sj` on a study's directory, a store, a table and a stored fit."""

import subprocess
import sys
from pathlib import Path

import pytest

import scaling_jax as sj
from scaling_jax import answers, laws
from scaling_jax.errors import InputError
from scaling_jax.study import Store, Study, collect, curves

pytestmark = pytest.mark.usefixtures("svg_alone")


def test_a_study_is_taken_wherever_a_table_is(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_table = laws.fit(collect(store), bootstrap=0)
    for source in ("root/trial", "root", Path("root/trial"), store):
        assert sj.fit(source, bootstrap=0).params == by_table.params
    # Approach 1 gets the curves without a request; these have too few sizes.
    with pytest.raises(InputError, match="2 of 5 sizes") as of_curves:
        laws.fit(collect(store), approach=1, training_curves=curves(store), bootstrap=0)
    with pytest.raises(InputError) as found:
        sj.fit("root/trial", approach=1, bootstrap=0)
    assert str(found.value) == str(of_curves.value)
    with pytest.raises(InputError) as of_records:
        laws.fit(collect(store), approach=1, bootstrap=0)
    assert str(of_records.value) != str(of_curves.value)
    assert len(sj.read_table("root/trial")) == len(store.runs())
    assert len(sj.best_of("root/trial", by="seed")) == len(store.runs())


def test_predict_takes_a_fit_its_file_or_what_it_fits_first(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = sj.fit(table, bootstrap=0)
    (tmp_path / "fit.json").write_text(fitted.to_json())
    optimum = fitted.optimal(1e14)
    assert sj.predict(fitted, flops=1e14) == optimum
    assert sj.predict(tmp_path / "fit.json", flops=1e14).params == optimum.params
    requested = {}
    monkeypatch.setattr(answers, "fit", lambda runs, **options: requested.update(options) or fitted)
    assert sj.predict(table, params=1e6, tokens=1e8) == fitted.predict(params=1e6, tokens=1e8)
    assert requested["law"] == "auto"
    for given in ({}, {"params": 1e6}, {"flops": 1e14, "params": 1e6, "tokens": 1e8}):
        with pytest.raises(InputError, match="give flops, or params and tokens"):
            sj.predict(fitted, **given)


def test_a_page_is_written(table: Path, tmp_path: Path) -> None:
    assert sj.report(table, tmp_path / "page.html") == tmp_path / "page.html"
    assert "parameters" in (tmp_path / "page.html").read_text()
    # Writing a page imports the package `report`, which must still be callable.
    with pytest.raises(InputError, match="must end in"):
        sj.report(table, tmp_path / "page.pdf")


def test_a_study_is_simulated(study: Study) -> None:
    found = sj.simulate(study, "chinchilla-besiroglu", n_studies=20, bootstrap=20)
    assert len(found.studies) == 20
    assert "N_opt" in str(found)


def test_a_study_has_its_status(study: Study, store: Store, tmp_path: Path) -> None:
    standing = study.status(tmp_path / "root")
    assert standing.states["finished"] == len(store.runs()) - 3
    assert "finished" in str(store)
    assert repr(store) == f"Store({str(store.directory)!r})"


def test_answers_are_shown_in_notebooks(table: Path, study: Study) -> None:
    fit = sj.fit(table, bootstrap=0)
    for shown in (fit, study, study.recipe, study.plan()[0].config):
        html = shown._repr_html_()
        assert html.startswith("<pre>")
        assert html.count("\n") > 3
        assert "<" not in html.removeprefix("<pre>").removesuffix("</pre>")
    assert "\n  seed: 0" in str(study.plan()[0].config)
    assert "\n    d_model: " in str(study.plan()[0].config)


@pytest.mark.parametrize(
    ("name", "approach"),
    [("frontier-params", 3), ("frontier-tokens", 2), ("isoflop", 2), ("predicted", 3)],
)
def test_the_pages_figures_are_drawn_from_a_fit(table: Path, name: str, approach: int) -> None:
    fit = sj.fit(table, approach=approach, bootstrap=0)
    figure = fit.plot(name, table=table)
    assert figure.axes[0].lines
    if name.startswith("frontier"):
        assert fit.plot(name).axes[0].lines
        return
    with pytest.raises(InputError, match="give them as table="):
        fit.plot(name)
    with pytest.raises(InputError, match="unknown figure"):
        fit.plot("isoflops")


LISTED = """
import scaling_jax as sj
from scaling_jax import data, laws, study, trained
from types import ModuleType
assert {"fit", "run", "collect", "curves", "load_experiment", "simulate", "report"} <= {*dir(sj)}
for name in dir(sj):
    assert getattr(sj, name).__doc__ or name == "__version__", name
for package in (data, laws, study, trained):
    names = dir(package)
    assert len(names) >= 3
    print([n for n in names if type(getattr(package, n)) is ModuleType or n.startswith("_")])
"""


def test_dir_lists_the_api_and_no_modules() -> None:
    command = [sys.executable, "-c", LISTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]"] * 4 + [""]
