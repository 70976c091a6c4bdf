"""The experiments that ship can be listed and named."""

import re

import pytest

from scaling_jax.errors import InputError
from scaling_jax.study import experiments, find_experiment, load_experiment
from scaling_jax.study.plan.experiment_files import SCALES


def test_every_experiment_says_what_it_is_after():
    shipped = experiments()
    assert {"chinchilla-isoflop", "chinchilla-horizons", "lr-transfer"} <= {e.name for e in shipped}
    for each in shipped:
        assert each.summary.endswith((".", "?"))
        assert each.source is not None
        assert re.fullmatch(r".+ \d{4}", each.source.paper)
        assert re.fullmatch(r"\d{4}\.\d{5}", each.source.arxiv)
        assert each.source.figure
        assert set(each.studies) == set(SCALES)
        assert each.draws is None or each.path.name in each.draws


def test_the_list_has_the_figure_and_the_cost_of_an_experiment():
    (transfer,) = (each for each in experiments() if each.name == "lr-transfer")
    assert transfer.draws is not None
    assert transfer.draws.endswith("lr_transfer.svg")
    assert "of a core" in str(transfer)
    assert "on an H100" in str(transfer)
    assert transfer.data()["scales"]["cpu"]["runs"] == len(transfer.studies["cpu"].plan())


@pytest.mark.parametrize("name", ["chinchilla-isoflop", "chinchilla_isoflop"])
def test_a_name_is_a_file(name):
    assert load_experiment(find_experiment(name), "cpu").name == "chinchilla-isoflop-cpu"


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("")
    assert find_experiment("demo").absolute() == tmp_path / "demo"
    assert find_experiment("elsewhere/demo").name == "demo"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'chinchilla-isoflop'"):
        find_experiment("chinchila-isoflops")
