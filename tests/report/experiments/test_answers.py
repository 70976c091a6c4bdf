"""The page of a published experiment has the answer to the experiment's own question."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling_jax.report import write_report
from scaling_jax.report.build import build_report
from scaling_jax.report.experiments.table import ANALYSES, own_answer
from scaling_jax.study import Store, StoredRun, Study, load_experiment
from tests.study.small_studies import write_fake_result

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def shapes_study() -> Study:
    return load_experiment(EXPERIMENTS / "kaplan_shapes.py", "smoke")


def store_of(study: Study, root: Path, measure: Callable[[StoredRun], bool]) -> Store:
    """The study on disk, where the runs that `measure` picks have made-up losses."""
    store, rng = Store.create(root, study), np.random.default_rng(0)
    for run in store.runs():
        if measure(run):
            write_fake_result(run, loss=3.0 + 0.01 * float(rng.standard_normal()))
    return store


def test_every_file_with_an_analysis_is_in_the_table_under_its_name() -> None:
    with_analysis = {}
    for path in EXPERIMENTS.glob("*.py"):
        module = path.read_text().partition("from scaling_jax.report.experiments.")[2]
        if module:
            with_analysis[load_experiment(path).name] = module.split()[0]
    assert with_analysis == ANALYSES


def test_the_page_shows_the_answer(tmp_path: Path) -> None:
    store = store_of(shapes_study(), tmp_path, lambda run: True)
    found = own_answer(store)
    assert found is not None
    assert found.answer is not None
    assert "aspect" in found.answer.text
    page = write_report(build_report(store, bootstrap=20), tmp_path / "page.html").read_text()
    assert "Losses of shapes of equal size" in page
    assert 'id="figure-own"' in page
    assert "aspect" in page.partition('<pre class="own"')[2]


def test_runs_that_give_no_answer_are_a_sentence_and_other_studies_have_no_section(
    tmp_path: Path,
) -> None:
    store = store_of(shapes_study(), tmp_path, lambda run: False)
    found = own_answer(store)
    assert found is not None
    assert found.answer is None
    assert "no run of this study has finished" in found.reason
    assert own_answer(Store.create(tmp_path, replace(shapes_study(), name="mine"))) is None


def test_another_study_of_the_same_name_leaves_its_page_whole(tmp_path: Path) -> None:
    study = replace(shapes_study(), name="kaplan-transfer")
    store = store_of(study, tmp_path, lambda run: True)
    page = write_report(build_report(store, bootstrap=20), tmp_path / "page.html").read_text()
    assert "The runs do not answer this yet" in page


@pytest.mark.parametrize("name", sorted(set(ANALYSES.values())))
def test_every_analysis_has_a_title(name: str) -> None:
    path = EXPERIMENTS.parent / "scaling_jax" / "report" / "experiments" / f"{name}.py"
    title = path.read_text().partition('"""')[2].partition('"""')[0].partition("\n")[0]
    assert title.endswith(".")
    assert len(title) < 100
