"""Horizons of one size share a trunk where they can, and are refused where they cannot."""

from dataclasses import replace

import pytest
from small_studies import RECIPE

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import BatchRamp, LogSpaced
from scaling_jax.errors import InputError
from scaling_jax.laws.planning.next_runs import Goal
from scaling_jax.study import (
    Branch,
    Branched,
    ComputeLR,
    FixedModels,
    IsoFlop,
    StepLawBatch,
    Study,
    Sweep,
    Warmup,
    vary,
)
from scaling_jax.study.execution.adaptive import run_until

WSD = replace(RECIPE, optimizer_knobs={"schedule": "wsd"}, warmup=Warmup(share=0, floor=5))
HORIZONS = FixedModels(params=(5e3, 10e3), tokens_per_param=(2, 4, 8))


def test_the_longest_horizon_of_each_size_is_the_trunk_of_the_others():
    runs = Study("branched", WSD, Branched(HORIZONS)).plan()
    alone = Study("alone", WSD, HORIZONS).plan()
    assert [run.config for run in runs] == [run.config for run in alone]
    for shape in {run.config.shape for run in runs}:
        *short, trunk = [run for run in runs if run.config.shape == shape]
        assert trunk.branch is None
        for run in short:
            # The cooldown takes the last fifth, from the step after the last at the peak.
            steps = run.config.steps
            assert run.branch == Branch(trunk.config.run_id, steps - round(0.2 * steps))


def test_a_branch_spends_what_follows_its_trunk():
    runs = Study("branched", WSD, Branched(HORIZONS)).plan()
    for run in runs:
        shared = run.branch.step if run.branch else 0
        params, config = count_params(run.config.shape).total, run.config
        assert run.flops == 6 * params * config.tokens
        assert run.flops_spent == 6 * params * (config.steps - shared) * config.tokens_per_step
    # Trunks of 8 and cooldowns of a fifth of 2 and 4, over 14.
    share = sum(run.flops_spent for run in runs) / sum(run.flops for run in runs)
    assert share == pytest.approx((8 + 0.2 * 6) / 14, rel=0.02)


def test_a_size_with_one_horizon_is_an_ordinary_run_and_sizes_repeated_at_budgets_are_not():
    one = Study("one", WSD, Branched(FixedModels((5e3, 10e3), (4,)))).plan()
    assert [run.branch for run in one] == [None, None]
    isoflop = IsoFlop((1e9, 2e9), ((5e3, 10e3), (10e3,)))
    runs = Study("isoflop", WSD, Branched(isoflop)).plan()
    assert [run.budget for run in runs if run.branch] == [1e9]


def test_each_variation_of_a_sweep_has_trunks_of_its_own():
    runs = Study("seeds", WSD, Sweep(Branched(HORIZONS), vary("seed", 0, 1))).plan()
    seeds = {run.config.run_id: run.config.seed for run in runs}
    branches = [run for run in runs if run.branch]
    assert len(runs) == 12
    assert len(branches) == 8
    assert all(seeds[run.branch.trunk] == run.config.seed for run in branches)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer_knobs": {}}, "under the schedule 'cosine'.*'schedule': 'wsd'"),
        ({"batch_ramp": BatchRamp()}, "a batch ramp ends at a share of each horizon"),
        (
            {"optimizer_knobs": {"schedule": "wsd", "average_share": 0.5}},
            "averaged over 0.5 of each horizon.*lower average_share to 0.2",
        ),
        ({"eval_every": LogSpaced()}, "with LogSpaced evaluations.*give eval_every a number"),
        (
            {"warmup": Warmup()},
            r"recipe's warmup gives a warm-up of \d+ .* use Warmup\(share=0, floor=\d+\)",
        ),
        (
            {"peak_lr": ComputeLR(1e-2, 1e9)},
            "recipe's peak_lr gives a peak learning rate.* use ConstantLR",
        ),
        (
            {"optimizer_knobs": {"schedule": "wsd", "cooldown_share": 0.005}},
            r"cooldown over 0.005 of \d+ steps is no step; raise cooldown_share",
        ),
        ({"batch_size": StepLawBatch()}, "recipe's batch_size gives a batch size .* ConstantBatch"),
    ],
)
def test_horizons_that_do_not_share_their_steps_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Study("refused", replace(WSD, **changes), Branched(HORIZONS)).plan()


def test_the_warm_up_that_a_refusal_advises_does():
    with pytest.raises(InputError) as refused:
        Study("refused", replace(WSD, warmup=Warmup()), Branched(HORIZONS)).plan()
    floor = int(str(refused.value).split("floor=")[1].split(")")[0])
    advised = replace(WSD, warmup=Warmup(share=0, floor=floor))
    assert Study("advised", advised, Branched(HORIZONS)).plan()


def test_runs_that_differ_in_more_than_their_horizon_are_refused():
    inside_out = Branched(Sweep(HORIZONS, vary("optimizer_knobs.weight_decay", 0.1, 0.2)))
    with pytest.raises(InputError, match=r"Sweep\(Branched"):
        Study("inside-out", WSD, inside_out).plan()


def test_a_few_runs_at_a_time_are_refused_since_trunks_come_first(tmp_path):
    branched = Study("branched", WSD, Branched(HORIZONS))
    with pytest.raises(InputError, match="plan its design without Branched"):
        run_until(branched, tmp_path, Goal("loss", 1e12, 0.03))
    assert not list(tmp_path.iterdir())
