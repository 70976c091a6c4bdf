"""Groups of a table are fitted apart and compared, in pairs where their runs match."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.grouping import group_rows

N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 5), [1e8, 1e9, 1e10]))
NOISE = np.random.default_rng(0).normal(0, 0.004, len(N))


def group(name, alpha=0.34, noise=NOISE, **columns):
    loss = (1.7 + 400 / N**alpha + 410 / D**0.28) * np.exp(noise)
    return pd.DataFrame({"params": N, "tokens": D, "loss": loss, "variation": name, **columns})


def table(*groups):
    # Shuffled, since the rows of a study come in the order of their compute and id.
    return pd.concat(groups).sample(frac=1, random_state=1)


def width_of_a(grouped):
    (contrast, _) = grouped.contrasts()
    low, high = contrast.difference.interval
    return contrast, high - low


def test_matched_runs_are_resampled_in_pairs():
    together = laws.fit_by(
        table(group("plain"), group("long", 0.36)), "variation=plain", bootstrap=60
    )
    contrast, paired = width_of_a(together)
    truth = 0.28 / (0.36 + 0.28) - 0.28 / (0.34 + 0.28)
    assert contrast.paired
    assert contrast.difference.interval[0] < truth < contrast.difference.interval[1]
    # Noise that both share cancels in the difference, and opposite noise adds up.
    against = table(group("plain"), group("long", 0.36, -NOISE))
    _, opposite = width_of_a(laws.fit_by(against, "variation=plain", bootstrap=60))
    assert paired < 0.2 * opposite
    alone = laws.fit(group("long", 0.36), bootstrap=0)
    assert together.fits["long"].params == pytest.approx(alone.params, rel=1e-4)


def test_groups_of_other_runs_are_resampled_apart():
    fewer = group("long", 0.36)[1:]
    grouped = laws.fit_by(table(group("plain"), fewer), "variation=plain", bootstrap=40)
    assert grouped.paired == ()
    assert not grouped.contrasts()[0].paired


def test_seeds_of_one_variation_are_one_group_and_numbers_are_in_order():
    several = [group(f"seed={seed}, lr={lr}", seed=seed) for seed in (0, 1) for lr in (1, 2)]
    assert [*group_rows(table(*several), "variation=lr=2")] == ["lr=2", "lr=1"]
    assert [*group_rows(table(group("a", width=64), group("b", width=8)), "width")] == ["8", "64"]


def test_a_group_that_cannot_be_fitted_is_named_beside_the_others():
    grouped = laws.fit_by(table(group("plain"), group("long")[:2]), "variation", bootstrap=0)
    assert [*grouped.fits] == ["plain"]
    assert "long was not fitted: " in str(grouped)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("variatoin", "no column 'variatoin'.*did you mean 'variation'"),
        ("variation", "has the one value plain, so there are no groups"),
        ("params=7", "column 'params' has no value '7'"),
    ],
)
def test_what_makes_no_groups_is_refused(by, message):
    with pytest.raises(InputError, match=message):
        laws.fit_by(group("plain"), by)


def test_losses_of_groups_stand_side_by_side():
    wide = laws.side_by_side(table(group("a"), group("b", 0.36)), "variation=a")
    assert [*wide] == ["params", "tokens", "loss a", "loss b"]
    expected = group("b", 0.36).sort_values(["params", "tokens"])["loss"]
    np.testing.assert_array_equal(wide["loss b"], expected)


def test_the_note_on_mixed_variations_says_how_to_fit_each():
    (note,) = laws.mixed_knobs(table(group("plain"), group("long")))
    assert str(note).endswith("fit each on its own, --by variation.")
