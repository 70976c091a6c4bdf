"""The misfit that neighbouring runs share, and fits that know of it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.error_surface import ErrorSurface
from scaling_jax.laws.extrapolation import correlated
from scaling_jax.laws.extrapolation.candidates import FORMS, candidates
from scaling_jax.laws.extrapolation.draws import drawn_constants
from scaling_jax.laws.extrapolation.misfit import correlation, features, places
from scaling_jax.laws.extrapolation.posterior import Posterior, posterior
from scaling_jax.laws.extrapolation.rolled import Rolled
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.select import Rows, usable_rows
from tests.laws.made_up import made_up_table

RNG = np.random.default_rng(0)
NEAR, FAR = {"params": 1e9, "tokens": 2e10}, {"params": 3e10, "tokens": 6e11}


def covariance_of(params_N: np.ndarray, tokens_N: np.ndarray, above_N: np.ndarray) -> np.ndarray:
    """The misfit's covariance, row by row, in units of that of the largest run."""
    at = places(params_N, tokens_N, above_N, float((params_N * tokens_N).max()))
    return at.scale_N[:, None] * correlation(at.at_Nx2, at.at_Nx2) * at.scale_N


def rows() -> Rows:
    return usable_rows(made_up_table(k=0.6))


@pytest.fixture(scope="module")
def found() -> Posterior:
    table = rows()
    return posterior(table, FORMS, np.ones(len(table), bool))


@pytest.mark.parametrize("n", [30, 400])
def test_columns_make_the_covariance_of_any_number_of_rows(n: int) -> None:
    params_N, tokens_N = np.exp(RNG.uniform(16, 21, n)), np.exp(RNG.uniform(19, 25, n))
    above_N = RNG.uniform(0, 0.1, n)
    at = places(params_N, tokens_N, above_N, float((params_N * tokens_N).max()))
    columns = features(at)
    made_NxN = columns.columns_NxM @ columns.columns_NxM.T + np.diag(columns.rest_N)
    wanted_NxN = covariance_of(params_N, tokens_N, above_N)
    scale_NxN = at.scale_N[:, None] * at.scale_N
    assert np.abs((made_NxN - wanted_NxN) / scale_NxN).max() < 0.01
    np.testing.assert_allclose(np.diag(made_NxN), np.diag(wanted_NxN))
    others_GxM, rest_G = columns.of(at)
    np.testing.assert_allclose(others_GxM, columns.columns_NxM, atol=1e-6 * at.scale_N.max())
    np.testing.assert_allclose(rest_G, columns.rest_N, atol=1e-6 * at.scale_N.max() ** 2)


def test_the_misfit_is_larger_far_below_the_top_and_far_above_the_frontier() -> None:
    params_N, tokens_N = np.array([1e9, 1e9, 1e8]), np.array([2e10, 2e10, 2e9])
    at = places(params_N, tokens_N, np.array([0.0, 0.02, 0.0]), 2e19)
    top, above, below = at.scale_N
    assert top == 1
    assert above == pytest.approx(np.sqrt(2))
    assert below == pytest.approx(100**0.4)


def test_a_component_is_the_regression_that_its_covariance_implies(found: Posterior) -> None:
    """Generalized least squares and the process given the rows, by dense matrices."""
    table, law = found.rows, found.laws[0]
    one = found.components[0][7]
    alone = dataclasses.replace(found.of_form(0), components=((one,),))
    at = {name: np.array([NEAR[name], FAR[name]]) for name in NEAR}
    both = {n: np.concatenate([table.variables[n], at[n]]) for n in at}
    scale = alone._places(both["params"], both["tokens"])
    whole = scale.scale_N[:, None] * correlation(scale.at_Nx2, scale.at_Nx2) * scale.scale_N
    whole, n = one.misfit**2 * whole, len(table)
    inverse = np.linalg.inv(whole[:n, :n] + np.diag(one.variance_N))
    known = whole[n:, :n] @ inverse
    log_N, slope_NxF = law.log_loss(one.theta_F, law.design(table.params, table.tokens))
    log_G, slope_GxF = law.log_loss(one.theta_F, law.design(at["params"], at["tokens"]))
    off_N = np.log(table.loss / law.least) - log_N
    precision = slope_NxF.T @ inverse @ slope_NxF + np.diag(law.spread_F**-2)
    moved = slope_GxF - known @ slope_NxF
    variance = whole[n:, n:] - known @ whole[:n, n:] + moved @ np.linalg.inv(precision) @ moved.T
    foreseen = alone.foreseen(at["params"], at["tokens"])
    np.testing.assert_allclose(
        foreseen.mean_G, log_G + known @ off_N + np.log(law.least), rtol=0, atol=2e-5
    )
    np.testing.assert_allclose(foreseen.deviation_G**2, np.diag(variance), rtol=0.02)
    # The optimum: no step of the constants is downhill.
    pull_F = (one.theta_F - law.mean_F) / law.spread_F**2
    downhill_F = slope_NxF.T @ inverse @ off_N - pull_F
    step_F = np.linalg.solve(precision, downhill_F)
    assert np.abs(step_F / np.sqrt(np.diag(np.linalg.inv(precision)))).max() < 0.05


def test_weights_are_relative_and_a_row_of_none_says_nothing() -> None:
    table = made_up_table(k=0.6)
    heavy = table.assign(weight=2.0)
    light = pd.concat([table, table.iloc[:1]]).assign(weight=[*[2.0] * len(table), 1e-9])
    at = (np.array([FAR["params"]]), np.array([FAR["tokens"]]))

    def deviation(frame: pd.DataFrame) -> float:
        each = usable_rows(frame)
        got = posterior(each, FORMS[:1], np.ones(len(each), bool))
        return float(got.foreseen(*at).deviation_G[0])

    # Weights are relative: twice the weight of every row is no more data.
    assert deviation(heavy) == pytest.approx(deviation(table), rel=1e-6)
    assert deviation(light) == pytest.approx(deviation(table), rel=1e-3)


def test_draws_of_constants_scatter_as_the_fit_is_unsure(found: Posterior) -> None:
    law, one = found.laws[0], found.components[0][7]
    alone = dataclasses.replace(found.of_form(0), components=((one,),))
    u_1xKxP = law.design(np.array([NEAR["params"]]), np.array([NEAR["tokens"]]))
    log_1, slope_1xF = law.log_loss(one.theta_F, u_1xKxP)
    wanted = float(np.sqrt((slope_1xF @ one.covariance_FxF @ slope_1xF.T)[0, 0]))
    # Small errors, to which answers are proportional.
    for stretch in (0.05, 0.1):
        drawn_BxP = drawn_constants(alone, Options(bootstrap=4000), stretch)[0]
        assert len(drawn_BxP) == 4000
        log_B = np.log(SKALING.value(drawn_BxP, NEAR) / law.least)
        assert log_B.std() == pytest.approx(stretch * wanted, rel=0.15)
        assert np.median(log_B) == pytest.approx(float(log_1[0]), abs=0.1 * wanted)


def test_tables_of_the_same_runs_are_resampled_together_and_others_are_not() -> None:
    table = made_up_table(k=0.6)
    # So noisy that little of the constants' error is the misfit's.
    noise_N = np.exp(0.03 * np.random.default_rng(0).standard_normal(len(table)))
    table = table.assign(loss=table["loss"] * noise_N)
    other = table.assign(loss=table["loss"] * 1.01)

    def drawn(frame: pd.DataFrame, kind: str) -> np.ndarray:
        each = usable_rows(frame)
        got = posterior(each, candidates(Options())[:1], np.ones(len(each), bool))
        options = Options(bootstrap=1000, resampling=kind)  # type: ignore[arg-type]
        return np.log(SKALING.value(drawn_constants(got, options, 1.0)[0][:900], NEAR))

    for kind, low, high in (("paired", 0.1, 1.0), ("residuals", -0.1, 0.1)):
        together = np.corrcoef(drawn(table, kind), drawn(other, kind))[0, 1]
        assert low < together < high, kind


def test_surprises_at_cutoffs_stretch_what_is_foreseen(found: Posterior) -> None:
    def stretch(*surprises: float) -> float:
        nothing = np.empty(0)
        return Rolled((1e20,), found, nothing, nothing, nothing, np.array(surprises), 1.0).stretch

    assert stretch() == stretch(1.0, 1.0) == 1
    assert stretch(4.0) == pytest.approx(np.sqrt(12 / 9))
    assert stretch(0.1) < 1 < stretch(0.1, 8.0)


def test_recipes_that_change_with_size_widen_the_interval() -> None:
    table = made_up_table(k=0.6)
    top = table["params"] * table["tokens"]
    changed = table.assign(loss=table["loss"] * np.where(top > top.quantile(0.7), 0.97, 1.0))
    widths = []
    for frame in (table, changed):
        interval = laws.fit(frame, law="auto", bootstrap=40).predict(**FAR).law_interval
        assert interval is not None
        widths.append(np.log(interval[1] / interval[0]))
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize("k", [0.45, 1.0])
def test_intervals_hold_larger_runs_as_often_as_they_say(k: float) -> None:
    inside = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        params_N, tokens_N = (x.ravel() for x in np.meshgrid(
            np.geomspace(2e7, 4e8, 4), np.geomspace(4e8, 8e9, 5)))  # fmt: skip
        everything = np.append(params_N, NEAR["params"]), np.append(tokens_N, NEAR["tokens"])
        # Constants and misfits as the priors have them, and a floor of 1.6.
        a, b = rng.lognormal(np.log(0.4), 0.15, 2)
        law = 1.6 + ((everything[0] / 2e8) ** -a + (everything[1] / 4e9) ** -b) ** k
        scatter_NxN = np.linalg.cholesky(
            covariance_of(*everything, np.zeros(21)) + 1e-9 * np.eye(21)
        )
        log_N = np.log(law) + 0.005 * scatter_NxN @ rng.standard_normal(21)
        loss_N = np.exp(log_N + 0.003 * rng.standard_normal(21))
        table = pd.DataFrame({"params": params_N, "tokens": tokens_N, "loss": loss_N[:-1]})
        known = posterior(usable_rows(table), FORMS, np.ones(20, bool))
        foreseen = known.foreseen(np.array([NEAR["params"]]), np.array([NEAR["tokens"]]))
        off = np.log(loss_N[-1]) - foreseen.mean_G[0]
        inside.append(abs(off) < 1.645 * np.hypot(foreseen.deviation_G[0], known.run))
    # 36 of 40 are expected; 29 or fewer has a chance of 0.1 % where the share is 90 %.
    assert sum(inside) > 29


def test_between_grid_points_deviations_are_read_off_and_beyond_them_kept() -> None:
    surface = ErrorSurface(
        (0.0, 2.0), (-1.0, 1.0), ((0.01, 0.01), (0.04, 0.04)), ((0.01, 0.02), (0.01, 0.02))
    )
    middle = float(np.exp(0.5))
    assert surface.of(middle, middle) == pytest.approx(0.02)
    assert surface.noise(middle, middle) == pytest.approx(np.sqrt(2) * 0.01)
    assert surface.of(1e6, 1e6) == pytest.approx(0.04)
    assert surface.noise(1.0, 1e6) == pytest.approx(0.02)


def test_an_exponent_whose_prior_is_not_positive_is_refused() -> None:
    form = candidates(Options(prior={"alpha": (-0.3, 0.1)}))[0]
    table = rows()
    with pytest.raises(InputError, match="alpha must be positive"):
        correlated.on_rows(form, table, np.ones(len(table), bool))
