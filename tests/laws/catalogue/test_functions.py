"""Published laws that are no sums: their numbers, limits, derivatives, and fits of their losses."""

import math
from collections.abc import Mapping

import jax
import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.catalogue.accuracy import ACCURACY_SIGMOID, ERROR_EXPONENTIAL
from scaling_jax.laws.catalogue.experts import (
    JOINT_EXPERTS,
    ROUTED,
    saturated_experts,
)
from scaling_jax.laws.catalogue.size_and_data import DATA_CONSTRAINED, broken
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.solver.autodiff import FunctionModel
from scaling_jax.laws.solver.optimum import optimum

pytestmark = pytest.mark.usefixtures("unoptimized")

MADE_UP = {
    "accuracy-sigmoid": dict(chance=0.25, ceiling=0.93, slope=2.3, middle=2.7),
    "broken-flops": dict(a=1.5, b=30.0, c0=0.06, c1=0.1, d1=1e19, f1=0.4),
}
# One of each function; the other broken laws read other columns.
FUNCTIONS = {law.name: law for law in laws.LAWS.values() if isinstance(law, laws.FunctionLaw)}
NAMES = [name for name in FUNCTIONS if FUNCTIONS[name].published or name in MADE_UP]
MUENNIGHOFF = DATA_CONSTRAINED.published["muennighoff-2023"]


def truth(form):
    return form.ordered(next(iter(form.published.values()), None) or MADE_UP[form.name])


def rows():
    """32 rows of everything that any function reads."""
    params = np.append(np.repeat(np.geomspace(1e7, 3e9, 6), 5), [5e7, 5e8])
    ratio = np.append(np.tile(np.geomspace(3, 300, 5), 6), [10, 60])
    return {
        "params": params,
        "params_active": params,
        "tokens": params * ratio,
        "flops": 6 * params**2 * ratio,
        "unique_tokens": params * ratio / np.resize([1, 2, 8, 40, 3, 100, 20], 32),
        "n_experts": np.resize([1.0, 2, 8, 4, 64, 16, 128, 32, 256], 32),
        "loss": np.linspace(1.8, 4.5, 32),
    }


def at(form, constants, **values):
    return float(form.value(form.ordered(constants), values))


@pytest.mark.parametrize("name", NAMES)
def test_noise_free_rows_give_back_their_law(name):
    form, values = FUNCTIONS[name], rows()
    constants = truth(form)
    response = form.value(constants, values)
    fit = optimum(form, values, response)
    np.testing.assert_allclose(form.value(fit.constants_P, values), response, rtol=1e-5)
    np.testing.assert_allclose(fit.constants_P, constants, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_logged", [True, False], ids=["log", "plain"])
def test_gradients_are_differences(name, is_logged):
    form, values = FUNCTIONS[name], rows()
    constants = truth(form)
    positive = np.array([parameter.positive for parameter in form.parameters])
    theta = np.where(positive, np.log(np.where(positive, constants, 1)), constants)

    def response(theta):
        predicted = form.value(form.constants(theta), values)
        return np.log(predicted) if is_logged else predicted

    model = FunctionModel(form, is_logged)
    inputs = {name: values[name] for name in form.variables}
    gradient_NxP = np.asarray(in_float64(jax.jit(model.row_gradients))(theta, inputs))
    for p in range(len(theta)):
        step = np.zeros(len(theta))
        step[p] = 1e-6 * max(1, abs(theta[p]))
        expected_N = (response(theta + step) - response(theta - step)) / (2 * step[p])
        np.testing.assert_allclose(gradient_NxP[:, p], expected_N, rtol=2e-5, atol=1e-7)


def test_the_hessian_is_the_difference_of_gradients():
    form, values = ROUTED, rows()
    positive = np.array([parameter.positive for parameter in form.parameters])
    theta = np.where(positive, np.log(np.abs(truth(form))), truth(form))
    inputs = {name: values[name] for name in form.variables}
    model, weight_N = FunctionModel(form, True), np.linspace(-1, 2, 32)
    gradients = in_float64(jax.jit(model.row_gradients))
    hessian_PxP = np.asarray(in_float64(jax.jit(model.hessian))(theta, inputs, weight_N))
    for p in range(len(theta)):
        step = 1e-5 * np.eye(len(theta))[p]
        high, low = (
            weight_N @ np.asarray(gradients(t, inputs)) for t in (theta + step, theta - step)
        )
        np.testing.assert_allclose(hessian_PxP[p], (high - low) / 2e-5, rtol=1e-5, atol=1e-6)


def test_one_epoch_of_a_supported_model_is_chinchilla():
    form = DATA_CONSTRAINED
    base = {name: MUENNIGHOFF[name] for name in CHINCHILLA.names}
    # The paper: unique tokens support 0.051 parameters each.
    for share in (0.02, 0.05):
        values = dict(params=share * 1e10, tokens=1e10)
        fresh = at(form, MUENNIGHOFF, unique_tokens=1e10, **values)
        assert fresh == pytest.approx(
            float(CHINCHILLA.value(CHINCHILLA.ordered(base), values)), rel=1e-12
        )
    surplus = at(form, MUENNIGHOFF, params=0.06 * 1e10, tokens=1e10, unique_tokens=1e10)
    whole = CHINCHILLA.value(CHINCHILLA.ordered(base), dict(params=0.06 * 1e10, tokens=1e10))
    assert surplus > whole * (1 + 1e-6)


def test_repeats_are_worth_less_and_in_the_end_nothing():
    form, unique = DATA_CONSTRAINED, 1e9
    small = dict(params=1e7, unique_tokens=unique)
    epochs = np.array([1, 2, 4, 16, 64, 1000, 1e6])
    losses = np.array([at(form, MUENNIGHOFF, tokens=unique * e, **small) for e in epochs])
    fresh = np.array(
        [at(form, MUENNIGHOFF, params=1e7, tokens=d, unique_tokens=d) for d in unique * epochs]
    )
    assert (np.diff(losses) <= 0).all()
    assert (losses[1:] > fresh[1:]).all()
    # "Up to 4 epochs, repeating is almost as good as new data".
    assert losses[2] < fresh[2] * 1.005
    # All repeats together are worth R_D epochs of fresh tokens.
    worth = unique * (1 + MUENNIGHOFF["R_D"])
    assert losses[-1] == pytest.approx(
        at(form, MUENNIGHOFF, params=1e7, tokens=worth, unique_tokens=worth), rel=1e-9
    )


def test_repeats_and_surplus_by_hand():
    p, n, d, u = MUENNIGHOFF, 2e9, 4e10, 5e9
    g = (p["A"] / p["B"]) ** (1 / (2 * p["alpha"]))
    u_n = g * (g * u)
    d_eff = u + u * p["R_D"] * (1 - math.exp(-(d / u - 1) / p["R_D"]))
    n_eff = u_n + u_n * p["R_N"] * (1 - math.exp(-(n / u_n - 1) / p["R_N"]))
    assert u_n / u == pytest.approx(0.051, abs=5e-4)
    expected = p["E"] + p["A"] / n_eff ** p["alpha"] + p["B"] / d_eff ** p["beta"]
    loss = at(DATA_CONSTRAINED, p, params=n, tokens=d, unique_tokens=u)
    assert loss == pytest.approx(expected, rel=1e-12)


def test_more_unique_tokens_than_were_seen_change_nothing():
    form, values = DATA_CONSTRAINED, dict(params=1e8, tokens=1e10)
    assert at(form, MUENNIGHOFF, unique_tokens=1e12, **values) == at(
        form, MUENNIGHOFF, unique_tokens=1e10, **values
    )


@pytest.mark.parametrize("key", ROUTED.published)
def test_one_expert_is_a_dense_power_law(key):
    constants = ROUTED.published[key]
    alpha = constants["a"] + constants["c"] * math.log10(constants["E_start"])
    small, large = (at(ROUTED, constants, params_active=n, n_experts=1) for n in (1e7, 1e9))
    assert large / small == pytest.approx(100**alpha, rel=1e-10)
    # Clark et al.'s dense models: exponent 0.078, scale 3.568e13.
    assert alpha == pytest.approx(-0.078, abs=0.003)
    assert large == pytest.approx((3.568e13 / 1e9) ** 0.078, rel=0.02)


def test_experts_saturate():
    start, most = 1.847, 314.478
    experts = np.array([1, 2, 8, 64, 1e9])
    effective = np.asarray(saturated_experts(experts, start, most))
    assert effective[0] == pytest.approx(start, rel=1e-6)
    assert effective[-1] == pytest.approx(most, rel=1e-6)
    assert (np.diff(effective) > 0).all()
    by_hand = 1 / (1 / (8 - 1 + 1 / (1 / start - 1 / most)) + 1 / most)
    assert effective[2] == pytest.approx(by_hand, rel=1e-6)


def effective_params(
    constants: Mapping[str, float],
    params_active: np.ndarray | float,
    n_experts: np.ndarray | float,
) -> np.ndarray:
    """Parameters of the dense model that has the loss of a routed one, by the law `routed`.

    `N^(alpha(E') / alpha(E_start)) (E' / E_start)^(b / alpha(E_start))` with
    `alpha(x) = a + c log10 x` (Clark et al. 2022, arXiv 2202.01169).
    """
    a, b, c = (constants[name] for name in "abc")
    start, most = constants["E_start"], constants["E_max"]
    experts = 1 / (1 / (np.asarray(n_experts) - 1 + 1 / (1 / start - 1 / most)) + 1 / most)
    dense = a + c * np.log10(start)
    power = (a + c * np.log10(experts)) / dense
    effective: np.ndarray = np.asarray(params_active) ** power * (experts / start) ** (b / dense)
    return effective


def test_a_routed_model_is_worth_its_effective_params():
    constants = ROUTED.published["clark-2022-s-base"]
    for n, experts in [(1.5e7, 8), (1.3e9, 512), (1e8, 1)]:
        dense = float(effective_params(constants, n, experts))
        routed = at(ROUTED, constants, params_active=n, n_experts=experts)
        same = at(ROUTED, constants, params_active=dense, n_experts=1)
        assert routed == pytest.approx(same, rel=1e-10)
        assert dense == pytest.approx(n, rel=1e-10) if experts == 1 else dense > 1.5 * n
    cutoff = 10 ** (-constants["b"] / constants["c"])
    assert float(effective_params(constants, cutoff, 64)) == pytest.approx(cutoff)


@pytest.mark.parametrize(
    ("experts", "m", "mu", "n", "nu"),
    [
        (1, 30.3640, -0.1817, 53.9838, -0.1965),
        (2, 27.7982, -0.1780, 66.8401, -0.2065),
        (4, 24.8462, -0.1731, 87.7022, -0.2192),
        (8, 21.8330, -0.1676, 119.9126, -0.2338),
        (16, 19.0159, -0.1617, 167.5073, -0.2494),
        (32, 16.5424, -0.1557, 234.6726, -0.2652),
    ],
)
def test_joint_law_reduces_to_the_papers_table_at_each_number_of_experts(experts, m, mu, n, nu):
    constants = JOINT_EXPERTS.published["ludziejewski-2025"]

    def term(**scaled):
        made = {**constants, "c": 1e-300, **scaled}
        small, large = (
            at(JOINT_EXPERTS, made, params_active=x, tokens=x, n_experts=experts)
            for x in (1.0, 1e9)
        )
        return small, math.log(large / small) / math.log(1e9)

    # Their constants are printed to four digits.
    assert term(b=1e-300) == pytest.approx((m, mu), rel=3e-3)
    assert term(a=1e-300) == pytest.approx((n, nu), rel=3e-3)


@pytest.mark.parametrize(
    ("flops", "experts", "params"),
    [(1e20, 1, 1.7e9), (1e20, 8, 990e6), (1e20, 32, 669e6), (1e22, 1, 18.8e9), (1e22, 32, 12.2e9)],
)
def test_joint_law_has_the_papers_optima(flops, experts, params):
    form = JOINT_EXPERTS
    n = np.geomspace(params / 10, params * 10, 4001)
    values = {"params_active": n, "tokens": flops / 6 / n, "n_experts": float(experts)}
    losses = form.value(truth(form), values)
    assert n[losses.argmin()] == pytest.approx(params, rel=0.05)


def test_a_break_changes_the_exponent():
    form = broken("flops", 1e18, 1e20)
    constants = {**MADE_UP["broken-flops"], "a": 1e-300, "f1": 0.3}

    def exponent(x):
        return math.log(at(form, constants, flops=1.01 * x) / at(form, constants, flops=x)) / (
            math.log(1.01)
        )

    assert exponent(1e14) == pytest.approx(-0.06, abs=1e-4)
    assert exponent(1e24) == pytest.approx(-0.16, abs=1e-4)
    expected = 30 * 1e19**-0.06 * 2 ** (-0.1 * 0.3)
    assert at(form, constants, flops=1e19) == pytest.approx(expected, rel=1e-9)


def test_error_and_accuracy_by_hand_and_at_their_ends():
    error, gadre = ERROR_EXPONENTIAL, "gadre-2024-c4"
    expected = 0.8497 - 2.0789 * math.exp(-0.7561 * 3)
    assert at(error, error.published[gadre], loss=3) == pytest.approx(expected, rel=1e-9)
    assert at(error, error.published[gadre], loss=100) == pytest.approx(0.8497)
    accuracy, made_up = ACCURACY_SIGMOID, MADE_UP["accuracy-sigmoid"]
    assert at(accuracy, made_up, loss=2.7) == pytest.approx((0.25 + 0.93) / 2)
    assert at(accuracy, made_up, loss=50) == pytest.approx(0.25)
    assert at(accuracy, made_up, loss=-50) == pytest.approx(0.93)


def test_decay_alone_is_found_with_the_base_law_held():
    form, values = DATA_CONSTRAINED, rows()
    loss = form.value(truth(form), values)
    base = {name: MUENNIGHOFF[name] for name in form.names if not name.startswith("R_")}
    fit = laws.fit({**values, "loss": loss}, law="data-constrained", fixed=base, bootstrap=0)
    assert {name: fit.params[name] for name in base} == pytest.approx(base, rel=1e-12)
    assert fit.params["R_D"] == pytest.approx(15.387756, rel=1e-6)
    assert fit.params["R_N"] == pytest.approx(5.309743, rel=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_reads_and_where_it_is_from(name):
    form = FUNCTIONS[name]
    assert set(form.units) >= set(form.variables)
    assert "et al." in form.source
    assert form.formula
    for constants in form.published.values():
        assert set(constants) == set(form.names)
