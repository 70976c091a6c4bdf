"""Laws of one's own: fits of functions, responses of any sign, chains, and what is refused."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.objectives import Objective

pytestmark = pytest.mark.usefixtures("unoptimized")

POINTS = Path(__file__).parent / "data" / "chinchilla_240.csv"


def chinchilla(p, v):
    return p["E"] + p["A"] / v["params"] ** p["alpha"] + p["B"] / v["tokens"] ** p["beta"]


CHINCHILLA = laws.FunctionLaw(
    name="chinchilla as a function",
    function=chinchilla,
    parameters=(
        laws.Parameter("E", 0.3, 3),
        laws.Parameter("A", 1, 1e5),
        laws.Parameter("B", 1, 1e5),
        laws.Parameter("alpha", 0.05, 1),
        laws.Parameter("beta", 0.05, 1),
    ),
    variables=("params", "tokens"),
)

LINE = laws.FunctionLaw(
    name="line",
    function=lambda p, v: p["a"] + p["b"] * v["x"],
    parameters=(
        laws.Parameter("a", -1, 1, positive=False),
        laws.Parameter("b", -1, 1, positive=False),
    ),
    variables=("x",),
    response="y",
    signed=("x", "y"),
)


def line(noise=0.1):
    x = np.linspace(-2, 2, 32)
    return {"x": x, "y": 0.3 - 0.7 * x + noise * np.random.default_rng(0).normal(size=32)}


@pytest.fixture(scope="module")
def fitted():
    """The published points fitted as a function and as a form, with the same resamples."""
    return [
        laws.fit(POINTS, law=form, bootstrap=40, seed=5)
        for form in (CHINCHILLA, laws.LAWS["chinchilla"])
    ]


@pytest.fixture(scope="module")
def fitted_line():
    return laws.fit(line(), law=LINE, bootstrap=400)


def test_a_function_has_the_optimum_of_the_same_form(fitted):
    function, form = fitted
    assert function.objective["value"] <= 0.00101827401778 * (1 + 1e-9)
    assert function.objective["gradient_norm"] < 1e-10
    assert function.objective["n_optima"] >= 1
    for name, value in form.params.items():
        assert function.params[name] == pytest.approx(value, rel=1e-6), name
    assert function.objective["name"] == form.objective["name"] == "huber"


def test_a_function_has_the_resamples_of_the_same_form(fitted):
    function, form = fitted
    for name, ends in form.intervals.items():
        np.testing.assert_allclose(function.intervals[name], ends, rtol=1e-4, err_msg=name)
    at = dict(params=70e9, tokens=1.4e12)
    for one, other in zip(
        function.predict(**at).interval, form.predict(**at).interval, strict=True
    ):
        assert one == pytest.approx(other, rel=1e-5)


def test_a_prediction_of_a_row_is_wider_than_one_of_the_law(fitted):
    made = fitted[0].predict(params=70e9, tokens=1e10)
    (low, high), (law_low, law_high) = made.interval, made.law_interval
    assert low < law_low < made.value < law_high < high
    assert made.outside == ("params",)


def test_plain_responses_of_any_sign_have_least_squares(fitted_line):
    table = line()
    slope, intercept = np.polyfit(table["x"], table["y"], 1)
    assert (table["y"] < 0).any()
    assert fitted_line.params == pytest.approx({"a": intercept, "b": slope}, rel=1e-9)
    residuals = table["y"] - intercept - slope * table["x"]
    assert fitted_line.objective["value"] == pytest.approx((residuals**2).sum() / 2, rel=1e-9)
    assert fitted_line.objective["name"] == "squares"
    assert not fitted_line.is_logged


@pytest.mark.parametrize("resampling", ["residuals", "rows"])
def test_intervals_of_plain_responses_are_those_of_the_noise(resampling):
    # The spread of a slope where noise may be unequal, and 90 % are 3.29 of it: HC2 of MacKinnon
    # and White 1985, from the rows' own residuals and leverages.
    table = line()
    x, y = table["x"], table["y"]
    slope, intercept = np.polyfit(x, y, 1)
    leverage = 1 / len(x) + x**2 / (x @ x)
    noise = (y - intercept - slope * x) / np.sqrt(1 - leverage)
    fitted_line = laws.fit(table, law=LINE, bootstrap=1000, resampling=resampling)
    low, high = fitted_line.intervals["b"]
    assert high - low == pytest.approx(3.29 * np.sqrt(x**2 @ noise**2) / (x @ x), rel=0.15)
    made = fitted_line.predict(x=0.0)
    assert made.interval[1] - made.interval[0] == pytest.approx(3.29 * noise.std(), rel=0.25)
    law_width = made.law_interval[1] - made.law_interval[0]
    assert law_width == pytest.approx(3.29 * noise.std() / np.sqrt(32), rel=0.15)


def test_huber_of_plain_residuals_bounds_an_outlier():
    table = line(noise=0.0)
    table["y"][3] += 50
    huber = Objective("plain huber", space="loss", delta=1e-3)
    fit = laws.fit(table, law=LINE, objective=huber, bootstrap=0)
    assert fit.params == pytest.approx({"a": 0.3, "b": -0.7}, abs=2e-3)
    assert fit.objective["space"] == "loss"


def test_squares_of_a_positive_response_are_not_of_its_logs():
    power = laws.FunctionLaw(
        "power",
        lambda p, v: p["A"] / v["params"] ** p["alpha"],
        (laws.Parameter("A", 1, 100), laws.Parameter("alpha", 0.01, 1)),
        ("params",),
    )
    n = np.geomspace(1e6, 1e9, 32)
    loss = 9 / n**0.07 + np.resize([0.05, -0.05, 0.1], 32)
    fit = laws.fit({"params": n, "loss": loss}, law=power, objective="squares", bootstrap=0)
    found = least_squares(lambda t: t[0] / n ** t[1] - loss, [9, 0.07], xtol=1e-14, ftol=1e-14)
    assert fit.objective["value"] == pytest.approx(found.cost, rel=1e-9)
    assert list(fit.params.values()) == pytest.approx(found.x, rel=1e-5)


def test_the_optimum_may_lie_outside_the_ranges():
    x = np.linspace(-2, 2, 32)
    fit = laws.fit({"x": x, "y": 80 - 30 * x}, law=LINE, bootstrap=0)
    assert fit.params == pytest.approx({"a": 80, "b": -30}, rel=1e-9)


def test_held_constants_stay_and_the_rest_adapts():
    table = line()
    fit = laws.fit(table, law=LINE, fixed={"b": 0.0}, bootstrap=400)
    assert fit.params["b"] == 0.0
    assert fit.params["a"] == pytest.approx(table["y"].mean(), rel=1e-9)
    assert fit.intervals["b"] == (0.0, 0.0)
    assert fit.intervals["a"][0] < fit.intervals["a"][1]


def test_of_many_optima_the_lowest_is_taken():
    # The objective has a minimum in k every few units.
    wave = laws.FunctionLaw(
        "wave",
        lambda p, v: jnp.sin(p["k"] * v["x"]),
        (laws.Parameter("k", 0.5, 30),),
        ("x",),
        response="y",
        signed=("y",),
    )
    x = np.linspace(0.05, 3, 32)
    fit = laws.fit({"x": x, "y": np.sin(11.3 * x)}, law=wave, bootstrap=0)
    assert fit.params["k"] == pytest.approx(11.3, rel=1e-9)


def test_weights_count_rows():
    table, counts = line(), np.resize([0.5, 1, 3], 32)
    weighted = laws.fit({**table, "weight": counts}, law=LINE, bootstrap=0)
    slope, intercept = np.polyfit(table["x"], table["y"], 1, w=np.sqrt(counts))
    assert weighted.params == pytest.approx({"a": intercept, "b": slope}, rel=1e-9)


def test_a_form_with_another_response_than_the_loss():
    loss = np.linspace(2, 4.5, 32)
    table = pd.DataFrame({"loss": loss, "batch_tokens": 2.1e8 / loss ** (1 / 0.21)})
    fit = laws.fit(table, law="kaplan-critical-batch", bootstrap=0)
    assert fit.params == pytest.approx({"B_star": 2.1e8, "inverse_alpha_B": 1 / 0.21}, rel=1e-6)
    assert fit.predict(loss=1.0).value == pytest.approx(2.1e8, rel=1e-6)
    assert fit.predict(loss=1.0).interval is None


def records():
    """Records as a study leaves them: two runs that are not to be fitted."""
    n = np.geomspace(1e7, 1e9, 34)
    table = pd.DataFrame({"params": n, "tokens": 20 * n, "status": "finished", "role": "design"})
    table["loss"] = 20 / (6 * n * 20 * n) ** 0.05
    table.loc[3, ["loss", "status"]] = [np.nan, "failed"]
    table.loc[7, ["loss", "role"]] = [99.0, "verification"]
    return table


def test_a_column_that_follows_from_others_needs_them_whole():
    table = records().astype({"tokens": object})
    table.loc[5, "tokens"] = "many"
    with pytest.raises(InputError, match="row 5, column 'tokens': 'many'"):
        laws.fit(table, law="kaplan-flops")
    with pytest.raises(InputError, match="needs the column 'flops'"):
        laws.fit(table.drop(columns="params"), law="kaplan-flops")


def test_missing_flops_are_made_and_unfinished_runs_left_out(tmp_path):
    table = records()
    fit = laws.fit(table, law="kaplan-flops", bootstrap=0)
    assert fit.params == pytest.approx({"A": 20, "alpha": 0.05}, rel=1e-9)
    assert (fit.n_points, fit.n_dropped) == (32, {"failed": 1, "verification": 1})
    table.to_csv(tmp_path / "records.csv")
    table.to_parquet(tmp_path / "records.parquet")
    for name in ("records.csv", "records.parquet"):
        again = laws.fit(tmp_path / name, law="kaplan-flops", bootstrap=0)
        assert again.params == pytest.approx(fit.params, rel=1e-12)


@pytest.fixture(scope="module")
def chain():
    rng = np.random.default_rng(1)
    n = np.geomspace(1e7, 1e9, 32)
    error = laws.LAWS["error-exponential"]
    table = pd.DataFrame({"flops": 120 * n**2})
    table["loss"] = 80 / table["flops"] ** 0.07 * np.exp(0.005 * rng.normal(size=32))
    law = error.value(error.ordered(error.published["gadre-2024-c4"]), table)
    table["error"] = law + 0.003 * rng.normal(size=32)
    return laws.Chain(
        laws.fit(table, law="kaplan-flops", bootstrap=200, seed=3, resampling="rows"),
        laws.fit(table, law="error-exponential", bootstrap=200, seed=3, resampling="rows"),
    )


def test_a_chain_predicts_accuracy_from_compute(chain):
    made = chain.predict(flops=1e21)
    loss = chain.first.predict(flops=1e21).value
    assert made.value == pytest.approx(chain.second.predict(loss=loss).value, rel=1e-12)
    truth = 0.8497 - 2.0789 * np.exp(-0.7561 * 80 / 1e21**0.07)
    (low, high), (law_low, law_high) = made.interval, made.law_interval
    assert low < law_low < made.value < law_high < high
    assert law_low < truth < law_high
    assert made.outside == ("flops", "loss")
    assert chain.predict(flops=1e18).outside == ()


def test_a_chain_needs_its_link_and_its_variables(chain):
    with pytest.raises(InputError, match="reads flops, not 'error'"):
        laws.Chain(chain.second, chain.first)
    with pytest.raises(InputError, match="needs 'flops'"):
        chain.predict()
    with pytest.raises(InputError, match="no variable 'tokens'"):
        chain.predict(flops=1e21, tokens=1e9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drop": "tokens"}, ["needs the column 'tokens'", "params, loss"]),
        ({"rename": {"loss": "losss"}}, ["column 'loss'", "did you mean 'losss'"]),
        ({"cell": ("tokens", 0.0)}, ["row 2", "'tokens'", "0.0", "positive finite"]),
        ({"cell": ("params", -5.0)}, ["row 2", "'params'", "-5.0"]),
        ({"cell": ("loss", np.nan)}, ["row 2", "'loss'", "nan"]),
        ({"cell": ("tokens", "many")}, ["row 2", "'tokens'", "many"]),
        ({"rows": 5}, ["5 distinct rows", "at least 6"]),
        ({"status": "failed"}, ["none of the table's 9 rows"]),
    ],
)
def test_a_bad_table_is_refused_by_name(change, words):
    n = np.geomspace(1e7, 1e9, 9)
    table = pd.DataFrame({"params": n, "tokens": n[::-1] * 20, "loss": 3.0}).astype(object)
    table = table.drop(columns=change.get("drop", [])).rename(columns=change.get("rename", {}))
    table = table.head(change.get("rows", 9))
    if "cell" in change:
        column, cell = change["cell"]
        table.loc[2, column] = cell
    if "status" in change:
        table["status"] = change["status"]
    for form in (CHINCHILLA, "chinchilla"):
        with pytest.raises(InputError) as caught:
            laws.fit(table, law=form)
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(objective="huber"), "y may be zero or negative.*'squares'"),
        (dict(objective="square"), "did you mean 'squares'"),
        (dict(fixed={"c": 1.0}), "no 'c'"),
        (dict(bootstrap=3), "too few resamples"),
        (dict(level=90), "between 0 and 1"),
        (dict(resampling="runs"), "needs a column 'run_id'"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        laws.fit(line(), law=LINE, **options)


def test_bad_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match="did you mean 'chinchilla'"):
        laws.fit(POINTS, law="chinchila")
    with pytest.raises(InputError, match=r"is not a file: give a \.csv, \.json or \.parquet"):
        laws.fit(tmp_path / "none.csv", law="chinchilla")
    with pytest.raises(InputError, match="do not make a table"):
        laws.fit({"x": [1.0, 2.0], "y": [1.0, 2.0, 3.0]}, law=LINE)
    (tmp_path / "broken.parquet").write_text("no table")
    with pytest.raises(InputError, match="not a Parquet table"):
        laws.fit(tmp_path / "broken.parquet", law="chinchilla")


@pytest.mark.parametrize(("law", "column"), [("width-depth", "d_model"), ("broken-flops", "no")])
def test_laws_of_other_columns_name_what_they_need(law, column):
    table = pd.read_csv(POINTS).drop(columns="flops", errors="ignore")
    if column == "no":  # FLOPs follow from params and tokens.
        assert laws.fit(table, law=law, bootstrap=0).n_points == len(table)
        return
    with pytest.raises(InputError, match=f"needs the column '{column}'"):
        laws.fit(table, law=law)


def test_a_function_without_a_finite_value_is_refused():
    never = laws.FunctionLaw(
        "never", lambda p, v: p["a"] * jnp.log(-v["x"]), (laws.Parameter("a", 1, 2),), ("x",)
    )
    with pytest.raises(InputError, match="no finite value"):
        laws.fit({"x": np.arange(1.0, 33), "loss": np.arange(1.0, 33)}, law=never)


def test_a_positive_constant_is_held_at_a_positive_value():
    with pytest.raises(InputError, match=r"E -1\.0 must be positive"):
        laws.fit(POINTS, law=CHINCHILLA, fixed={"E": -1.0})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (dict(params=1e9), "needs 'tokens'"),
        (dict(params=1e9, tokens=1e10, token=1e10), "no variable 'token'.*did you mean 'tokens'"),
        (dict(params=0.0, tokens=1e10), "params 0.0 must be positive and finite"),
        (dict(params=1e9, tokens=np.inf), "tokens inf must be positive and finite"),
    ],
)
def test_bad_predictions_are_refused(fitted, variables, words):
    for fit in fitted:
        with pytest.raises(InputError, match=words):
            fit.predict(**variables)


def test_bad_definitions_are_refused():
    good = laws.Parameter("a", 1, 2)
    for low, high, words in [
        (2, 1, "not empty"),
        (1, np.inf, "finite"),
        (0, 1, "cannot start from 0"),
        (-1, 1, "positive=False"),
    ]:
        with pytest.raises(InputError, match=words):
            laws.Parameter("a", low, high)
    for changed, words in [
        (dict(parameters=(good, good)), "constant 'a' twice"),
        (dict(parameters=()), "at least one parameter"),
        (dict(variables=("loss",)), "column 'loss' twice"),
        (dict(signed=("los",)), "did you mean 'loss'"),
    ]:
        fields = {"parameters": (good,), "variables": ("x",), **changed}
        with pytest.raises(InputError, match=words):
            laws.FunctionLaw("bad", lambda p, v: p["a"] * v["x"], **fields)
    with pytest.raises(InputError, match="has the constants E, A, B"):
        CHINCHILLA.ordered({"E": 1.0})
    with pytest.raises(InputError, match=r"needs 'tokens'.*did you mean 'token'"):
        CHINCHILLA.value(np.ones(5), {"params": 1e9, "token": 1e9})


def test_constants_and_variables_broadcast():
    constants = np.array([[1.0, 2, 3, 0.3, 0.2], [2.0, 4, 6, 0.1, 0.4]])
    losses = CHINCHILLA.value(
        constants[:, None], {"params": np.array([1e6, 1e7, 1e8]), "tokens": 1e9}
    )
    assert losses.shape == (2, 3)
    expected = 2 + 4 / 1e8**0.1 + 6 / 1e9**0.4
    assert losses[1, 2] == pytest.approx(expected, rel=1e-14)


def test_the_callers_precision_is_left_alone(fitted_line):
    assert fitted_line.n_points == 32
    assert jax.numpy.zeros(1).dtype == jax.numpy.float32
    assert not jax.config.jax_enable_x64
