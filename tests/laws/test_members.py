"""Draws of an average from the draws of its members."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.members import Member, about, constants_of
from scaling_jax.laws.uncertainty.widening import scatter_of
from tests.laws.made_up import made_up_table

NOISE, COUNT = 0.01, 4000


def members(*counts: int, is_shared: bool = True) -> list[Member]:
    return [
        Member("form", None, 0.0, 0.01, n / sum(counts), (), n_draws=n, is_shared=is_shared)
        for n in counts
    ]


def draws(own: float, count: int = COUNT, seed: int = 0) -> np.ndarray:
    return own * np.exp(NOISE * np.random.default_rng(seed).standard_normal(count))


def moved(seeds: tuple[int, int], count: int = COUNT, is_shared: bool = True) -> np.ndarray:
    """Draws of two members, of losses 2 and 3, about their average's loss of 2.5."""
    each = [draws(own, count, seed) for own, seed in zip((2.0, 3.0), seeds, strict=True)]
    averaged = members(count, count, is_shared=is_shared)
    return about(averaged, np.concatenate(each), np.array([2.0, 3.0]), 2.5)


def test_members_with_the_same_noise_have_an_average_with_that_noise() -> None:
    found_B = moved((0, 0))
    assert np.median(found_B) == pytest.approx(2.5, rel=1e-3)
    assert scatter_of(found_B) == pytest.approx(NOISE, rel=0.03)


def test_members_with_noise_of_their_own_have_a_quieter_average() -> None:
    assert scatter_of(moved((0, 1))) == pytest.approx(NOISE / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("case", [dict(is_shared=False), dict(count=14)])
def test_without_enough_shared_resamples_the_average_scatters_as_its_members_do(
    case: dict[str, int],
) -> None:
    found_B = moved((0, 1), **case)
    times_B = np.concatenate([draws(1.0, len(found_B) // 2, seed) for seed in (0, 1)])
    np.testing.assert_allclose(found_B, 2.5 * times_B)


def test_resamples_of_the_heavier_members_alone_do_not_stand_for_the_average() -> None:
    # The second member is noiseless, and the draws that the first has alone are three times wider.
    first_B = np.concatenate([draws(2.0, 1000), 2 * (draws(1.0, 600, 1)) ** 3])
    averaged = members(1600, 1000)
    weights = (0.4, 0.6)
    averaged = [dataclasses.replace(m, weight=w) for m, w in zip(averaged, weights, strict=True)]
    together_B = np.concatenate([first_B, np.full(1000, 3.0)])
    found_B = about(averaged, together_B, np.array([2.0, 3.0]), 2.5)
    single = scatter_of(np.concatenate([first_B / 2, np.ones(1000)]))
    shrunk = np.log(found_B[0] / 2.5) / np.log(first_B[0] / 2)
    assert shrunk * single == pytest.approx(0.4 * NOISE, rel=0.05)


def test_draws_without_a_value_stay() -> None:
    drawn_B = np.concatenate([draws(2.0), draws(3.0, seed=1)])
    drawn_B[5] = np.inf
    found_B = about(members(COUNT, COUNT), drawn_B, np.array([2.0, 3.0]), 2.5)
    assert found_B[5] == np.inf
    assert np.isfinite(np.delete(found_B, 5)).all()


@pytest.fixture(scope="module")
def fit() -> laws.LawFit:
    """An average of four members, one per form, several of which predict alike."""
    table = made_up_table(k=0.45)
    found = laws.fit(table, law="auto", within=0.05, weight_by_compute=0.5, bootstrap=240)
    assert isinstance(found, laws.LawFit)
    return found


def test_a_stored_average_keeps_its_intervals(fit: laws.LawFit) -> None:
    at = {"params": 1e11, "tokens": 2e12}
    again = Fit.from_json(fit.to_json())
    assert isinstance(again, laws.LawFit)
    assert again.predict(**at) == fit.predict(**at)
    assert constants_of(again.members).tolist() == constants_of(fit.members).tolist()


def test_an_average_of_an_earlier_release_says_what_it_said() -> None:
    """Its intervals are made of its draws and of its errors at cut-offs, as they were then."""
    fit = Fit.from_json((Path(__file__).parent / "data" / "fit_average.json").read_text())
    assert isinstance(fit, laws.LawFit)
    found = fit.predict(params=1e11, tokens=2e12)
    assert found.loss == pytest.approx(1.0172817952036182)
    assert found.interval == pytest.approx((0.9092002105096182, 1.0839117287616882))
    best = fit.optimal(1e22)
    assert best.params_interval == pytest.approx((11521862863.522535, 23385635919.85672))
    assert best.loss_interval == pytest.approx((1.083643077405653, 1.1535219248562902))
