"""Laws of one's own and laws of other columns, from the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scaling_jax import laws

pytestmark = pytest.mark.usefixtures("unoptimized")

LAWS = """
import math
import jax.numpy as jnp
import numpy as np
from scaling_jax.laws import FunctionLaw, Parameter

def chinchilla(params, tokens, *, E=(1, 3), A=(1, 1e4), B=(1, 1e4), alpha=(0.1, 1), beta=(0.1, 1)):
    return E + A / params**alpha + B / tokens**beta

def sloped(flops, *, level=(-10, 10), slope=(-1, 1)):
    return jnp.exp(level + slope * jnp.log(flops))

power = FunctionLaw(
    "a power",
    lambda p, v: p["A"] / v["params"] ** p["alpha"],
    (Parameter("A", 1, 100), Parameter("alpha", 0.01, 1)),
    ("params",),
)

def raising(params, *, A=(1, 10)):
    return {}["nothing"] * A

def python_math(params, *, A=(1, 10)):
    return A / math.log(params)

def branching(params, *, A=(1, 10)):
    return A if params[0] > 1 else 2 * A

def one_too_many(params, *, A=(1, 10)):
    return A * jnp.append(params, 1.0)

def nothing(params, *, A=(1, 10)):
    pass

def undefined(params, *, A=(1, 10)):
    return A * jnp.log(-params)

def no_range(params, *, A):
    return A / params

def preset(params, tokens=3, *, A=(1, 10)):
    return A / params

def no_constants(params):
    return 1 / params

number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(LAWS)
    return path


def test_a_function_in_a_file_has_the_optimum_of_the_named_law(
    cli: Callable, table: Path, own: Path
) -> None:
    options = ("--bootstrap", 20, "--at", "params=1e6", "tokens=5e7", "--json")
    reported = cli("fit", table, "--law", f"{own}:chinchilla", *options).json
    expected = laws.fit(table, bootstrap=0)
    assert reported["params"] == pytest.approx(expected.params, rel=1e-5)
    assert reported["objective"]["value"] == pytest.approx(expected.objective["value"], rel=1e-9)
    assert reported["law"] == "own.py:chinchilla"
    made = reported["prediction"]
    assert made["value"] == pytest.approx(expected.predict(params=1e6, tokens=5e7).loss, rel=1e-6)
    assert made["law_interval"][0] < made["value"] < made["law_interval"][1]
    assert made["outside"] == ["params"]


def test_words_give_constants_and_what_is_asked(cli: Callable, table: Path, own: Path) -> None:
    options = ("--objective", "log-squares", "--bootstrap", 20, "--at", "flops=1e14")
    code, out, err = cli("fit", table, "--law", f"{own}:sloped", *options)
    assert (code, err) == (0, "")
    for part in (
        "Law own.py:sloped, fitted to 15 rows.",
        "slope",
        "90 % interval",
        "At flops 1e+14: loss",
        "flops lies outside the fitted 1e+12 to 1.6e+13",
        "Single rows scatter",
    ):
        assert part in out


def test_constants_are_held(cli: Callable, table: Path, own: Path) -> None:
    options = ("--hold", "slope=-0.05", "--bootstrap", 0, "--json")
    reported = cli("fit", table, "--law", f"{own}:sloped", *options).json
    assert reported["params"]["slope"] == -0.05
    assert reported["intervals"] is None


def test_a_form_in_a_file_and_one_of_the_literature(cli: Callable, table: Path, own: Path) -> None:
    reported = cli("fit", table, "--law", f"{own}:power", "--bootstrap", 0, "--json").json
    assert set(reported["params"]) == {"A", "alpha"}
    reported = cli("fit", table, "--law", "overtraining", "--bootstrap", 0, "--json").json
    expected = laws.fit(table, law="overtraining", bootstrap=0)
    assert reported["params"] == pytest.approx(expected.params)
    assert "M = D / N" in reported["formula"]


def test_a_law_whose_columns_are_missing_names_them(cli: Callable, table: Path) -> None:
    code, out, err = cli("fit", table, "--law", "data-constrained")
    assert (code, out) == (2, "")
    assert "needs the column 'unique_tokens'" in err


def test_a_law_without_logs_takes_squares_by_itself(cli: Callable, tmp_path: Path) -> None:
    error = laws.LAWS["error-exponential"]
    truth = error.published["gadre-2024-c4"]
    loss = pd.Series([2.0 + 0.1 * i for i in range(20)])
    frame = pd.DataFrame({"loss": loss, "error": error.value(error.ordered(truth), {"loss": loss})})
    frame.to_csv(tmp_path / "errors.csv", index=False)
    reported = cli(
        "fit", tmp_path / "errors.csv", "--law", "error-exponential", "--bootstrap", 0, "--json"
    ).json
    assert reported["objective"]["name"] == "squares"
    assert reported["params"] == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chinchila", "has no 'chinchila' (there is chinchilla, sloped, power, raising"),
        ("number", "is of type int"),
        ("raising", "raises KeyError at line 21 of"),
        ("python_math", "at line 24 of"),
        ("branching", "jnp.where in place of if"),
        ("one_too_many", "of shape (16,) for columns of shape (15,)"),
        ("nothing", "returns NoneType"),
        ("undefined", "no finite value"),
        ("no_range", "the constant 'A' of the law"),
        ("preset", "argument 'tokens=3'"),
        ("no_constants", "at least one parameter"),
    ],
)
def test_a_function_that_is_no_law_is_refused(
    cli: Callable, table: Path, own: Path, name: str, words: str
) -> None:
    code, out, err = cli("fit", table, "--law", f"{own}:{name}", "--bootstrap", 0)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def law(:", "line 1: SyntaxError"),
        ("x = 1\n1 / 0", "line 2: ZeroDivisionError"),
        ("raise SystemExit(3)", "line 1: the file ends the program"),
    ],
)
def test_a_file_that_does_not_run_is_refused(
    cli: Callable, table: Path, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    code, out, err = cli("fit", table, "--law", f"{tmp_path / 'broken.py'}:law")
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--law", "nowhere.py:law"), "nowhere.py is not a file"),
        (("--law", "nowhere.py"), "name the law in it"),
        (("--law", "overtraining", "--resampling", "runs"), "needs a column 'run_id'"),
        (("--law", "saturating-flops", "--at", "flops"), "write NAME=NUMBER"),
        (
            ("--approach", 2, "--at", "params=1e6"),
            "a prediction at params=1e+06 has no effect on approach 2, which fits no loss",
        ),
    ],
)
def test_options_without_meaning_here_are_refused(
    cli: Callable, table: Path, options: tuple, words: str
) -> None:
    code, out, err = cli("fit", table, *options)
    assert (code, out) == (2, "")
    assert words in err
