"""Branches with other batches: what they share with their trunk, and what they cost."""

import numpy as np
import pytest

from scaling_jax.config import NoiseScale, RunConfig
from scaling_jax.data import Batches
from scaling_jax.errors import InputError
from scaling_jax.study import BatchBranches, FixedModels, Study

from small_studies import RECIPE  # isort: skip
from dataclasses import replace

CONSTANT = replace(
    RECIPE, optimizer_knobs={"schedule": "constant"}, noise_scale=NoiseScale(sequences=8)
)
TRUNKS = FixedModels((5e3,), (40.0,))


def planned(recipe=CONSTANT, **changes):
    known = dict(at=(0.5,), factors=(0.5, 1, 4), window=4000)
    return list(BatchBranches(TRUNKS, **(known | changes)).runs(recipe))


def test_branches_differ_from_their_trunk_in_the_batch_and_its_learning_rate():
    trunk, *branches = planned()
    assert trunk.role == "grid"
    assert [run.role for run in branches] == ["branch"] * 3
    assert [run.config.batch_size for run in branches] == [4, 8, 32]
    assert [run.config.optimizer.peak_lr for run in branches] == pytest.approx(
        [1e-2 / 2**0.5, 1e-2, 2e-2], rel=1e-5
    )
    # A window of whole batches of 32 sequences of 32 tokens.
    assert {run.config.tokens for run in branches} == {4096}
    for run in branches:
        assert run.config.start.run == run.branch.trunk == trunk.config.run_id
        assert run.config.start.step == run.branch.step == round(trunk.config.steps / 2)
        assert run.config.noise_scale is None
        assert run.flops_spent == run.flops == run.budget
        assert RunConfig.from_json(run.config.to_json()) == run.config


def test_the_plan_counts_the_trunk_once():
    study = Study("s", CONSTANT, BatchBranches(TRUNKS, (0.5,), (1, 2), 4096))
    trunk, *branches = study.design.runs(CONSTANT)
    assert study.flops_spent == trunk.flops + 2 * branches[0].flops
    assert branches[0].flops * trunk.config.tokens == trunk.flops * branches[0].config.tokens


def test_rules_and_knobs_of_the_window():
    rates = [run.config.optimizer.peak_lr for run in planned(lr="linear")[1:]]
    assert rates == pytest.approx([5e-3, 1e-2, 4e-2])
    (_, first, *_) = planned(lr="constant", knobs={"schedule": "linear", "warmup_steps": 2})
    assert first.config.optimizer.peak_lr == 1e-2
    assert (first.config.optimizer.schedule, first.config.optimizer.warmup_steps) == ("linear", 2)


def test_branches_of_all_batches_read_the_tokens_that_the_trunk_reads_next():
    tokens = np.arange(103 * 4 + 1)
    # Trunks with 8 of 103 windows a step read 96 in an epoch; the branches cross its end.
    trunk = Batches(tokens, 4, 8, seed=3, repeat=True)
    follows = trunk.batches(10, 6).reshape(-1, 5)
    for batch in (2, 16, 48):
        branch = Batches(tokens, 4, batch, seed=3, repeat=True, start=80, epoch_batch=8)
        read = branch.batches(0, 48 // batch).reshape(-1, 5)
        np.testing.assert_array_equal(read, follows)
        assert branch.unique_tokens(48 // batch) == len(np.unique(follows[:, 0])) * 4
    with pytest.raises(InputError, match="the run needs 512 tokens, but the corpus holds 384"):
        Batches(tokens, 4, 16, seed=3, start=80, epoch_batch=8).check_enough(3)


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (RECIPE, {}, "under the schedule 'cosine'"),
        (CONSTANT, {"factors": (1, 0.3)}, "whole batches"),
        (CONSTANT, {"factors": (1, 32), "window": 100}, "single step of 256"),
        (CONSTANT, {"factors": (2,)}, "at least two"),
        (CONSTANT, {"at": (1.5,)}, "shares of a run"),
        (CONSTANT, {"lr": "cube"}, "lr is 'cube'"),
        (CONSTANT, {"at": (0.001,)}, "at its peak from step"),
        (
            replace(RECIPE, optimizer_knobs={"schedule": "wsd"}),
            {"at": (0.95,)},
            "at its peak from step",
        ),
    ],
)
def test_what_cannot_branch_is_refused(recipe, changes, message):
    with pytest.raises(InputError, match=message):
        planned(recipe, **changes)
