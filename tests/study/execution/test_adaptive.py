"""Adaptive studies train what the answer needs, no more, and continue a grid at its edge."""

import dataclasses

import numpy as np
import pytest
from small_studies import RECIPE, write_fake_result

from scaling_jax.accounting.flops import count_params
from scaling_jax.errors import InputError
from scaling_jax.laws.planning.known import published_law
from scaling_jax.laws.planning.next_runs import FIRST_CELLS, Goal
from scaling_jax.study import IsoFlop, Study
from scaling_jax.study.execution import adaptive
from scaling_jax.study.execution.adaptive import run_until

BUDGETS = (2e10, 6e10, 18e10, 54e10)
SIZES = (5e3, 10e3, 20e3, 40e3, 80e3)
REPEATED = dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, repeat=True))
STUDY = Study("adaptive", REPEATED, IsoFlop(BUDGETS, (SIZES,) * len(BUDGETS)))
LAW = published_law("chinchilla-besiroglu")
# Sizes and tokens of the small runs as if they were larger, or the law would be all one term.
LARGER = 1e3


@pytest.fixture
def measured(monkeypatch):
    """Runs end at once with the law's loss and a little noise; says which, in their order."""
    trained = []

    def train(runs, job):
        for run in sorted(runs, key=lambda run: run.planned.flops):
            config = run.planned.config
            params = LARGER * count_params(config.shape).total
            noise = 0.001 * np.random.default_rng(len(trained)).standard_normal()
            loss = float(LAW.loss(params, LARGER * config.tokens) * np.exp(noise))
            write_fake_result(run, loss=loss)
            trained.append(run)

    monkeypatch.setattr(adaptive, "train_runs", train)
    return trained


def test_it_stops_once_the_interval_is_narrow_and_leaves_the_dear_runs(measured, tmp_path):
    lines = []
    ended = run_until(STUDY, tmp_path, Goal("loss", 2e12, 0.03), bootstrap=200, report=lines.append)
    assert ended.reached
    assert Goal("loss", 2e12, 0.03).width_of(ended.fit) <= 0.03
    assert len(measured) < len(STUDY.plan())
    assert ended.flops == sum(run.planned.flops for run in measured)
    assert ended.flops < 0.6 * ended.planned_flops
    cheapest = [run.config.run_id for run in STUDY.plan()[:FIRST_CELLS]]
    assert sorted(run.run_id for run in measured[:FIRST_CELLS]) == sorted(cheapest)
    assert lines[-1].endswith("done")


def test_a_second_call_trains_nothing_more(measured, tmp_path):
    goal = Goal("loss", 2e12, 0.03)
    first = run_until(STUDY, tmp_path, goal, bootstrap=200)
    before = len(measured)
    again = run_until(STUDY, tmp_path, goal, bootstrap=200)
    assert again.reached
    assert len(measured) == before
    assert again.fit.params == first.fit.params


def test_what_cannot_be_reached_takes_every_run_and_says_so(measured, tmp_path):
    lines = []
    ended = run_until(
        STUDY, tmp_path, Goal("params", 2e13, 1.0001), bootstrap=100, report=lines.append
    )
    assert not ended.reached
    assert ended.needed == ()
    assert {run.config.run_id for run in STUDY.plan()} <= {run.run_id for run in measured}
    assert "no run is left" in lines[-1]


def test_it_spends_no_more_than_allowed(measured, tmp_path):
    allowed = 0.2 * sum(run.flops for run in STUDY.plan())
    ended = run_until(
        STUDY, tmp_path, Goal("params", 2e13, 1.0001), bootstrap=100, max_flops=allowed
    )
    assert 0.1 * allowed < ended.flops <= allowed


def test_a_grid_is_continued_where_its_minimum_lies_at_the_edge(measured, tmp_path):
    optima = [LAW.optimal(LARGER**2 * budget)[0] / LARGER for budget in BUDGETS]
    sizes = (24e3, 33e3, 45e3)
    assert optima[0] < sizes[0]
    assert optima[-1] > sizes[-1]
    narrow = dataclasses.replace(STUDY, design=IsoFlop(BUDGETS, (sizes,) * len(BUDGETS)))
    run_until(narrow, tmp_path, Goal("params", 2e13, 1.0001), bootstrap=100)
    planned = {run.config.run_id for run in narrow.plan()}
    beyond = [run.planned for run in measured if run.run_id not in planned]
    at = {
        budget: [count_params(run.config.shape).total for run in beyond if run.budget == budget]
        for budget in BUDGETS
    }
    assert max(at[BUDGETS[0]]) < sizes[0]
    assert min(at[BUDGETS[-1]]) > sizes[-1]


def test_runs_that_cannot_be_trained_are_not_requested_again(monkeypatch, tmp_path):
    requested = []
    monkeypatch.setattr(adaptive, "train_runs", lambda runs, job: requested.extend(runs))
    ended = run_until(STUDY, tmp_path, Goal("loss", 2e12, 0.03))
    assert not ended.reached
    assert ended.fit is None
    names = [run.run_id for run in requested]
    assert len(names) == len(set(names)) == len(STUDY.plan())


def test_processes_that_are_joined_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(adaptive.jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="train each run together cannot choose"):
        run_until(STUDY, tmp_path, Goal("loss", 2e12, 0.03))
    assert not list(tmp_path.iterdir())
