"""A power law for every ray of tokens per parameter."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.extrapolation.rays import fit_rays
from scaling_jax.laws.tables.select import usable_rows


def loss_of(params, tokens):
    return 1.7 + 400 / params**0.34 + 410 / tokens**0.28


def table(ratios=(5, 20, 160), n=6, wobble=0.0, span=1e2):
    rng = np.random.default_rng(0)
    params = np.tile(np.geomspace(1e7, 1e7 * span, n), len(ratios))
    tokens = params * np.repeat(ratios, n) * np.exp(wobble * rng.normal(size=len(params)))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss_of(params, tokens)})


@pytest.mark.parametrize("ratio", [5, 20, 160])
def test_a_larger_run_on_a_ray_is_predicted(ratio):
    rays = fit_rays(usable_rows(table()))
    assert float(rays.predict(3e9, ratio * 3e9)) == pytest.approx(
        loss_of(3e9, ratio * 3e9), rel=5e-3
    )


def test_runs_whose_ratios_wobble_are_of_one_ray():
    rays = fit_rays(usable_rows(table(wobble=0.03)))
    assert [ray.tokens_per_param for ray in rays.rays] == pytest.approx([5, 20, 160], rel=0.1)
    assert [ray.n_runs for ray in rays.rays] == [6, 6, 6]


def test_without_a_floor_every_ray_is_a_straight_line_in_logs():
    straight = table().assign(loss=lambda t: 30 * (t.params * t.tokens) ** -0.05)
    rays = fit_rays(usable_rows(straight), floor=0.0)
    assert [ray.law.gamma for ray in rays.rays] == pytest.approx([0.05] * 3)
    assert float(rays.predict(1e11, 2e12)) == pytest.approx(30 * 2e23**-0.05)


def test_arrays_of_runs_are_predicted_each_by_the_nearest_ray():
    rays = fit_rays(usable_rows(table()))
    params, tokens = np.array([1e9, 1e9, 2e9]), np.array([5e9, 170e9, 40e9])
    single = [float(rays.predict(n, d)) for n, d in zip(params, tokens, strict=True)]
    assert rays.predict(params, tokens).tolist() == pytest.approx(single)
    assert rays.reaches([1e9, 1e9], [20e9, 50e9]).tolist() == [True, False]


def test_a_run_on_no_ray_is_refused_with_the_rays():
    rays = fit_rays(usable_rows(table()))
    with pytest.raises(InputError, match=r"50 tokens per parameter is within .* \(5, 20, 160"):
        rays.predict(1e9, 50e9)


def test_a_short_ray_is_left_out_with_its_reason():
    runs = table()
    short = (runs.tokens / runs.params > 100) & (runs.params > 5e7)
    rays = fit_rays(usable_rows(runs[~short]))
    assert [round(ray.tokens_per_param) for ray in rays.rays] == [5, 20]
    with pytest.raises(InputError, match=r"the ray of 160 has none: it has 2 runs over a factor"):
        rays.predict(1e9, 160e9)


def test_a_ray_whose_losses_rise_leaves_the_others():
    runs = table()
    on_20 = (runs.tokens / runs.params).between(19, 21)
    runs.loc[on_20, "loss"] = runs.loc[on_20, "loss"].to_numpy()[::-1]
    rays = fit_rays(usable_rows(runs), floor=0.0)
    assert [round(ray.tokens_per_param) for ray in rays.rays] == [5, 160]
    with pytest.raises(InputError, match="the ray of 20 has none: the losses do not fall"):
        rays.predict(1e9, 20e9)


@pytest.mark.parametrize(("n", "span"), [(3, 1e2), (6, 2.0)], ids=["few", "narrow"])
def test_a_table_without_a_ray_is_refused(n, span):
    with pytest.raises(InputError, match="none of the 3 rays of tokens per parameter gives a law"):
        fit_rays(usable_rows(table(n=n, span=span)))
