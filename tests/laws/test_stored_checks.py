"""A stored fit whose parts contradict one another is refused with one message."""

import json
import math
import warnings
from pathlib import Path

import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError, UncheckedWarning

pytestmark = pytest.mark.filterwarnings("ignore::scaling_jax.errors.UncheckedWarning")

DATA = Path(__file__).parent / "data"


def stored(approach=3):
    return json.loads((DATA / f"fit_approach_{approach}.json").read_text())


def changed(of=3, **fields):
    return json.dumps({**stored(of), **fields})


def of_constants(**constants):
    return {"params": {**stored()["params"], **constants}}


def draws(change):
    return {"draws_BxP": [change(list(row)) for row in stored()["draws_BxP"]]}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"law": "kaplan"}, "the law 'kaplan' has the constants"),
        (of_constants(alpha=-0.3), "exponents"),
        (of_constants(E=math.nan), "the constant E is nan"),
        (of_constants(A=-5.0), "the constant A is -5"),
        ({"params": {}}, "not none"),
        (draws(lambda row: [math.nan, *row[1:]]), "draw 0 of draws_BxP is not a number"),
        (draws(lambda row: row[:-1]), r"draws_BxP has the shape \(\d+, 4\)"),
        (draws(lambda row: [2 * x for x in row]), "intervals"),
        ({"draws_BxP": []}, "draws_BxP has the shape"),
        ({"level": 0}, "level 0 does not lie between 0 and 1"),
        ({"level": 5}, "level 5 does not lie"),
        ({"level": 0.5}, "intervals"),
        ({"count": "every"}, "count 'every'"),
        ({"approach": 7}, "7"),
        ({"exponents": {"a": 0.9, "b": 0.1}}, "exponents a 0.9"),
        ({"params": [1, 2]}, "not a fit"),
        ({"params": {"E": {}}}, "not a fit"),
        ({"params": {**stored()["params"], "A": 10**400}}, "not a fit"),
        ({"flops_range": 3}, "not a fit"),
        ({"noise_N": [[1.0]]}, "noise_N"),
    ],
)
def test_a_fit_that_contradicts_itself_is_refused(fields, words):
    with pytest.raises(InputError, match=words) as caught:
        laws.Fit.from_json(changed(**fields))
    assert "\n" not in str(caught.value)
    assert "scaling-jax fit RECORDS --out fit.json" in str(caught.value)


def test_a_constant_that_was_edited_is_refused():
    data = json.loads(laws.Fit.from_json(changed()).to_json())
    without = {key: value for key, value in data.items() if key != "sha256"}
    with pytest.raises(InputError, match=r"changed after it was written .it lacks sha256"):
        laws.Fit.from_json(json.dumps(without))
    assert laws.Fit.from_json(json.dumps(data)).params == data["params"]
    data["params"]["A"] *= 3
    with pytest.raises(InputError, match="this fit was changed after it was written"):
        laws.Fit.from_json(json.dumps(data))


@pytest.mark.parametrize(("name", "factor"), [("E", 5.0), ("E", 0.2), ("A", 1e6), ("B", 1e-6)])
def test_an_edited_constant_far_from_its_draws_is_refused_without_a_checksum(name, factor):
    params = stored()["params"]
    with pytest.raises(InputError, match=f"the constant {name} is .*, but its draws lie between"):
        laws.Fit.from_json(changed(**of_constants(**{name: factor * params[name]})))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("approach", [2, 3])
def test_a_fit_without_a_checksum_is_read_with_a_warning(approach):
    with pytest.warns(UncheckedWarning, match=r"without a sha256, .*: fit the records again"):
        fit = laws.Fit.from_json(changed(approach))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert laws.Fit.from_json(fit.to_json()).params == fit.params


@pytest.mark.parametrize("text", ["[1]", "3", "null", "[" * 200_000, '"format"', '{"format": 2}'])
def test_text_of_another_shape_is_no_fit(text):
    with pytest.raises(InputError, match="not a fit written by scaling_jax"):
        laws.Fit.from_json(text)


@pytest.mark.parametrize("approach", [2, 3])
def test_a_fit_as_it_was_written_is_read(approach):
    assert laws.Fit.from_json(changed(approach)).approach == approach
