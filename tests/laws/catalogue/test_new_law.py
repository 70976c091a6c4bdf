"""A new law: a `PowerSum` or a `FunctionLaw`, and one row of the table of laws."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scaling_jax as sj
from scaling_jax.cli import main
from scaling_jax.errors import InputError
from scaling_jax.laws import FunctionLaw, Law, Parameter, PowerSum, Term, catalogue, law_named

pytestmark = pytest.mark.usefixtures("unoptimized")

UNITS = {"params": "parameters", "dropout": "share", "loss": "nats per token"}
TRUTH = {"E": 1.7, "A": 40.0, "alpha": 0.3, "k": 0.4}

# Losses fall with size and rise with dropout.
AS_SUM = PowerSum(
    name="dropout-sum",
    terms=(
        Term("E", {}),
        Term("A", {"params": {"alpha": -1}}),
        Term("k", {"dropout": {"gamma": 1}}),
    ),
    exponents=("alpha", "gamma"),
    formula="L = E + A / N^alpha + k p^gamma",
    source="a made-up law",
    units=UNITS,
    published={"made-up": {**TRUTH, "gamma": 1.0}},
)
AS_FUNCTION = FunctionLaw(
    name="dropout-function",
    function=lambda p, v: p["E"] + p["A"] / v["params"] ** p["alpha"] + p["k"] * v["dropout"],
    parameters=(
        Parameter("E", 0.3, 3),
        Parameter("A", 1, 1e4),
        Parameter("alpha", 0.05, 1),
        Parameter("k", 0.01, 10),
    ),
    variables=("params", "dropout"),
    formula="L = E + A / N^alpha + k p",
    source="a made-up law",
    units=UNITS,
    published={"made-up": TRUTH},
)

with_each_kind = pytest.mark.parametrize("law", [AS_SUM, AS_FUNCTION], ids=lambda law: law.name)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for law in (AS_SUM, AS_FUNCTION):
        monkeypatch.setitem(catalogue.LAWS, law.name, law)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    params, dropout = np.meshgrid(np.geomspace(1e4, 1e7, 6), (0.05, 0.1, 0.2, 0.4))
    loss = 1.7 + 40 / params**0.3 + 0.4 * dropout
    noise = 1 + 0.0005 * np.random.default_rng(0).standard_normal(loss.shape)
    columns = {"params": params, "dropout": dropout, "loss": loss * noise}
    path = tmp_path / "losses.csv"
    pd.DataFrame({k: v.ravel() for k, v in columns.items()}).to_csv(path, index=False)
    return path


@with_each_kind
def test_it_is_found_under_its_name(law: Law) -> None:
    assert law_named(law.name) is law
    with pytest.raises(InputError, match=law.name):
        law_named(law.name[:-1])


@with_each_kind
def test_it_gives_the_loss_at_its_published_constants(law: Law) -> None:
    constants = law.ordered(law.published["made-up"])
    values = {"params": np.array([1e6]), "dropout": np.array([0.5])}
    assert law.value(constants, values) == pytest.approx([1.7 + 40 / 1e6**0.3 + 0.2])


@with_each_kind
def test_the_command_line_fits_it_by_its_name(
    law: Law, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--law", law.name, "--bootstrap", "50", "--out", str(table.with_suffix(".json"))]
    assert main(["fit", str(table), *options, "--json"]) == 0
    fitted = json.loads(capsys.readouterr().out)
    assert set(fitted["params"]) == set(law.names)
    assert fitted["params"]["alpha"] == pytest.approx(0.3, rel=0.1)
    assert fitted["params"]["E"] == pytest.approx(1.7, rel=0.02)
    assert set(fitted["intervals"]) == set(law.names)
    at = ["--at", "params=1e6", "dropout=0.3"]
    assert main(["predict", str(table.with_suffix(".json")), *at, "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)
    assert predicted["value"] == pytest.approx(1.7 + 40 / 1e6**0.3 + 0.12, rel=0.01)
    from_python = sj.fit(table, law=law, bootstrap=0)
    assert from_python.params == pytest.approx(fitted["params"])
