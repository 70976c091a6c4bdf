"""What a design identifies, and the interval of its answer, before it is trained."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.catalogue.linearized import centre_of, slopes
from scaling_jax.laws.extrapolation.other_laws import nearest
from scaling_jax.laws.planning.answers import ANSWERS, Target, noise_errors
from scaling_jax.laws.planning.design_checks import assumed_law, score
from scaling_jax.laws.planning.design_score import Cells
from scaling_jax.laws.planning.known import KnownLaw, published_law
from scaling_jax.laws.planning.noise import Noise
from scaling_jax.laws.planning.simulate import simulate_study

LAW = published_law("chinchilla-besiroglu")
# The budgets of Hoffmann et al. 2022, figure 3.
BUDGETS = (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21)
SIZES = np.geomspace(1e8, 6.4e9, 7)


def isoflop(budgets=BUDGETS, n=9, width=3.5):
    steps = width ** np.linspace(-1, 1, n)
    params = np.concatenate([LAW.optimal(budget)[0] * steps for budget in budgets])
    budget = np.repeat(budgets, n)
    return Cells.of(params, budget / (6 * params), budget)


def l_shaped():
    tokens = 20 * SIZES
    params = np.concatenate([SIZES, np.full(6, SIZES[0])])
    return Cells.of(params, np.concatenate([np.full(7, tokens[0]), tokens[1:]]))


def codes(cells, **options):
    return [warning.code for warning in score(cells, **options).warnings]


def test_a_single_ray_is_warned_of_and_an_l_is_not():
    ray = Cells.of(SIZES, 20 * SIZES)
    near = Cells.of(SIZES, np.array([20, 24, 20, 24, 20, 24, 20]) * SIZES)
    assert "single-ray" in codes(ray)
    assert "single-ray" in codes(near)
    assert "single-ray" not in codes(l_shaped())
    assert codes(isoflop()) == []
    assert score(ray).condition > 100 * score(l_shaped()).condition


def test_the_condition_of_a_ray_grows_as_the_exponents_approach():
    # Kricheli et al. 2026: as (alpha - beta)^-2.
    ray, conditions = Cells.of(SIZES, 20 * SIZES), []
    for gap in (0.02, 0.04):
        constants = dict(LAW.constants) | {"beta": LAW.constants["alpha"] + gap}
        conditions.append(score(ray, dataclasses.replace(LAW, constants=constants)).condition)
    assert conditions[0] / conditions[1] == pytest.approx(4, rel=0.1)


def test_budgets_that_span_less_than_the_extrapolation_are_warned_of():
    close = isoflop((1e20, 1.4e20, 2e20), n=5)
    assert "budgets-close" in codes(close)
    near = Target.optimum(LAW, 3e20)
    assert "budgets-close" not in codes(close, target=near)
    assert score(close).leverage > 100 * score(isoflop()).leverage


def test_a_floor_that_noise_hides_is_warned_of():
    close = isoflop((1e20, 1.4e20, 2e20), n=5)
    assert "floor-unidentified" in codes(close)
    assert "floor-unidentified" not in codes(close, noise=3e-4)
    found = score(isoflop()).floor
    assert 0.001 < found.error < 0.02
    assert found.misfit < found.misfit_of_form
    without = dataclasses.replace(LAW, constants=dict(LAW.constants) | {"E": 0.0})
    scored = score(isoflop(), without)
    assert scored.floor is None
    assert 0 < scored.doubts["loss"].form < 0.05


@pytest.mark.parametrize("end", [1.5e18, 1.2e22], ids=["below", "above"])
def test_another_budget_at_an_end_narrows_the_interval(end):
    middle = BUDGETS[1:-1]
    target = Target.optimum(LAW, 3e22)
    before, after = (
        score(isoflop(budgets), target=target).doubts["loss"]
        for budgets in (middle, (*middle, end))
    )
    assert after.noise < before.noise
    assert after.total < 0.95 * before.total


def test_noise_moves_answers_as_far_as_in_simulated_studies():
    cells = isoflop()
    table = pd.DataFrame({"params": cells.params_N, "tokens": cells.tokens_N})
    simulated = simulate_study(table, LAW, noise=Noise(0.003), n_studies=40, bootstrap=50)
    width = simulated.summary()["width"]
    expected = score(cells, LAW).doubts
    loss = simulated.truth["loss"]
    assert 2 * loss * expected["loss"].noise == pytest.approx(width["loss"], rel=0.3)
    for name in ("a", "params", "tokens"):
        assert 2 * expected[name].noise == pytest.approx(width[name], rel=0.3)


def test_slopes_are_derivatives_of_log_losses():
    cells = l_shaped()
    for form in (SKALING, laws.LAWS["kaplan-floor"], laws.LAWS["chinchilla"]):
        constants_P = np.array([1.5, 3e3, 5e3, 0.5, 0.45, 0.6][: len(form.names)])
        centre = centre_of(form, cells.values)
        theta_P, found_NxP = (
            form.theta(constants_P, centre),
            slopes(form, constants_P, centre, cells.values),
        )
        for p, step_P in enumerate(1e-5 * np.eye(len(theta_P))):
            high, low = (
                np.log(form.value(form.constants(theta_P + s * step_P, centre), cells.values))
                for s in (1, -1)
            )
            np.testing.assert_allclose(found_NxP[:, p], (high - low) / 2e-5, rtol=1e-5, atol=1e-8)


def test_the_nearest_law_to_a_law_of_its_form_is_that_law():
    cells = isoflop()
    truth_P = np.array([1.2, 5e3, 9e3, 0.5, 0.52, 0.6])
    log_loss_N = np.log(SKALING.value(truth_P, cells.values))
    found = nearest(SKALING, cells.values, log_loss_N, np.array([1.8, 482, 2085, 0.35, 0.37, 1.0]))
    np.testing.assert_allclose(found.constants_P, truth_P, rtol=1e-3)
    assert found.misfit < 1e-9


def test_a_fit_of_chinchilla_misses_the_far_corner_of_an_l():
    # Videau et al. 2026 measured 10 to 15 % where the grid's largest compute is 5 to 10 times more.
    corner = Target(6 * SIZES[-1] * 20 * SIZES[-1], SIZES[-1], 20 * SIZES[-1])
    loss = score(l_shaped(), LAW, target=corner).doubts["loss"]
    assert 0.05 < loss.form < 0.25
    assert loss.form > 5 * loss.noise


def test_errors_of_the_form_vanish_with_the_noise_that_hides_them():
    loud, quiet = (score(isoflop(), LAW, noise=s).doubts["loss"] for s in (3e-3, 3e-5))
    assert quiet.form < 0.02 * loud.form
    assert quiet.noise < 0.02 * loud.noise


def test_another_seed_halves_the_noise_and_leaves_the_form():
    once = isoflop()
    twice = Cells.of(*(np.tile(x, 2) for x in (once.params_N, once.tokens_N, once.budget_N)))
    before, after = (score(cells, LAW).doubts["loss"] for cells in (once, twice))
    assert after.noise == pytest.approx(before.noise / np.sqrt(2), rel=1e-3)
    assert after.form == pytest.approx(before.form, rel=1e-3)


def test_the_assumed_law_is_the_published_one_where_its_runs_are():
    assert assumed_law(isoflop()) == LAW
    small = Cells.of(isoflop().params_N / 1e4, isoflop().tokens_N / 1e4)
    moved = assumed_law(small)
    assert {n: moved.constants[n] for n in ("E", "alpha", "beta")} == {
        n: LAW.constants[n] for n in ("E", "alpha", "beta")
    }
    centre = [float(np.exp(np.log(x).mean())) for x in (small.params_N, small.tokens_N)]
    assert float(moved.loss(*centre)) == pytest.approx(2 * LAW.constants["E"])
    assert moved.optimal(6 * centre[0] * centre[1])[0] == pytest.approx(centre[0])


def test_what_a_single_ray_does_not_determine_has_no_narrow_interval():
    found = score(Cells.of(SIZES, 20 * SIZES)).doubts
    assert found["params"].total > 1
    errors_A = noise_errors(LAW, l_shaped().values, Target.optimum(LAW, 1e22), 0.003)
    assert errors_A.shape == (len(ANSWERS),)
    assert np.isfinite(errors_A).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cells.of([1e8, 1e9], [1e9, 1e10]), "2 sizes"),
        (lambda: Cells.of([1e8, 1e9, 1e10], [1e9] * 3), "1 numbers of tokens"),
        (lambda: Cells.of([1e8, -1e9, 1e10], [1e9, 2e9, 3e9]), "positive and finite"),
        (lambda: Cells.of(SIZES, SIZES[:3], SIZES), "length"),
        (lambda: score(Cells.of(SIZES[:5], SIZES[:5])), "5 runs determine no interval"),
        (lambda: score(isoflop(), noise=0), "noise 0"),
        (lambda: score(isoflop(), level=1.0), "level 1"),
        (
            lambda: score(
                isoflop(),
                KnownLaw(
                    laws.LAWS["saturating-params"], {"E": 1.0, "A": 10.0, "alpha": 0.3}, "mine"
                ),
            ),
            "no compute-optimal frontier",
        ),
    ],
)
def test_designs_that_cannot_be_scored_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
