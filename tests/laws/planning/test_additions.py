"""What to add to a design, and what it narrows for its FLOPs."""

import numpy as np
import pytest

from scaling_jax.laws.planning.additions import Trained, additions, propose
from scaling_jax.laws.planning.design_checks import score
from scaling_jax.laws.planning.design_score import Cells
from scaling_jax.laws.planning.design_text import proposals_data, proposals_table
from scaling_jax.laws.planning.known import published_law

LAW = published_law("chinchilla-besiroglu")
SIZES = np.geomspace(1e8, 6.4e9, 7)


def isoflop(budgets=(6e18, 2.4e19, 1e20), factors=(0.3, 0.55, 1.0, 1.8, 3.4)):
    params = np.concatenate([LAW.optimal(budget)[0] * np.array(factors) for budget in budgets])
    budget = np.repeat(budgets, len(factors))
    return Cells.of(params, budget / (6 * params), budget)


@pytest.fixture(scope="module")
def before():
    return score(isoflop())


@pytest.fixture(scope="module")
def proposed(before):
    return {proposal.name: proposal for proposal in propose(before)}


def test_another_budget_keeps_the_sizes_about_the_optimum(before):
    (below, above, *_) = additions(before)
    assert above.budget_K == pytest.approx(1e20 * np.sqrt(1e20 / 6e18))
    for addition in (below, above):
        budget = addition.budget_K[0]
        assert 6 * addition.params_K * addition.tokens_K == pytest.approx(addition.budget_K)
        about = addition.params_K / LAW.optimal(budget)[0]
        assert about == pytest.approx(np.array([0.3, 0.55, 1.0, 1.8, 3.4]))


def test_no_budget_is_added_at_the_target_or_beyond(before):
    close = score(isoflop(), target=before.target.optimum(LAW, 2e20))
    assert not [addition for addition in additions(close) if "above" in addition.name]


def test_a_second_seed_is_every_run_once_more(before, proposed):
    again = proposed["a second seed of every run"]
    assert again.n_runs == 15
    assert again.flops == pytest.approx(float(before.cells.budget_N.sum()))
    for name, doubt in before.doubts.items():
        assert again.score.doubts[name].noise == pytest.approx(doubt.noise / np.sqrt(2), rel=1e-3)


def test_the_cheap_end_narrows_most_per_flop_and_the_dear_end_most(before, proposed):
    first = next(iter(proposed.values()))
    assert first.name.startswith("one more budget below")
    assert first.flops < 0.02 * before.cells.budget_N.sum()
    narrowest = min(proposed.values(), key=lambda each: each.score.doubts["loss"].total)
    assert narrowest.name.startswith("one more budget above")
    gains = [proposal.gain for proposal in proposed.values()]
    assert gains == sorted(gains, reverse=True)


def test_the_ends_of_an_l_take_a_design_off_its_ray():
    ray = score(Cells.of(SIZES, 20 * SIZES))
    (both,) = (each for each in propose(ray) if each.name == "both ends of an L")
    assert "single-ray" in [warning.code for warning in ray.warnings]
    assert "single-ray" not in [warning.code for warning in both.score.warnings]
    assert both.score.doubts["params"].total < 1e-2 * ray.doubts["params"].total


def test_an_l_of_a_grid_stays_near_its_tokens_per_parameter(before):
    ratio = before.cells.tokens_N / before.cells.params_N
    for addition in additions(before):
        each = addition.tokens_K / addition.params_K
        assert each.min() > ratio.min() / 12
        assert each.max() < ratio.max() * 12


def test_additions_that_cannot_be_trained_are_left_out_and_prices_kept(before):
    def trained(addition):
        if addition.fixed == "budget":
            return None
        return Trained(addition.params_K, addition.tokens_K, addition.budget_K, 1e20, price=12.5)

    proposals = propose(before, trained)
    assert {proposal.name for proposal in proposals} == {
        "a second seed of every run",
        "the largest size on fewer tokens",
        "the smallest size on more tokens",
        "both ends of an L",
    }
    table = str(proposals_table(before, proposals, 1e21))
    assert "12.50" in table
    assert "10 %" in table
    assert table.splitlines()[1].startswith("the design as it is")
    data = proposals_data(proposals)
    assert {each["price"] for each in data} == {12.5}
    assert set(data[0]["half_widths"]) == set(before.doubts)
