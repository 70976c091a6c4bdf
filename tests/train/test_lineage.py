"""A branch that begins from its trunk's checkpoint is the run from scratch, bit for bit."""

import shutil
from dataclasses import asdict

import jax
import numpy as np
import pytest
from etils import epath
from helpers import small_run

from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, make_mesh, train_run
from scaling_jax.train.checkpoint import open_checkpoints
from scaling_jax.train.lineage import Lineage, Origin

WSD = {"schedule": "wsd", "warmup_steps": 5, "average_share": 0.1}
# Cooldowns of 12 and 20 of the steps, which begin where the trunk still holds its peak.
SHORT, LONG, BRANCH_STEPS = 60, 100, 48
MEASURED = ("status", "steps", "tokens", "unique_tokens", "loss", "loss_stderr", "train_loss")


def options(cache):
    mesh, execution = make_mesh(devices=jax.devices()[:1]), Execution(steps_per_dispatch=4)
    return dict(cache_dir=cache, mesh=mesh, execution=execution, progress=False)


def stopping_at(at):
    def stop(step, loss, speed):
        if step >= at:
            raise Preempted("enough")

    return stop


@pytest.fixture(scope="module")
def runs(text, cache, tmp_path_factory):
    """A trunk that was stopped once, its branch, and the branch's run from scratch."""
    root = epath.Path(tmp_path_factory.mktemp("lineage"))
    trunk, branch = (small_run(text, steps=steps, optimizer=WSD) for steps in (LONG, SHORT))
    kept, origin = Lineage(kept=frozenset({BRANCH_STEPS})), Origin(root / "trunk", BRANCH_STEPS)
    # A checkpoint after every dispatch, of which only the newest two would be left.
    often = dict(checkpoint_seconds=0.0, lineage=kept)
    with pytest.raises(Preempted):
        train_run(trunk, root / "trunk", **options(cache), **often, report=stopping_at(80))
    train_run(trunk, root / "trunk", **options(cache), **often)
    scratch = train_run(branch, root / "scratch", **options(cache))
    branched = train_run(branch, root / "branch", **options(cache), lineage=Lineage(origin))
    return root, branch, scratch, branched


def curve(directory):
    return [(row["step"], row["loss"], row["lr"]) for row in read_metrics(directory)]


def final_state(directory):
    with open_checkpoints(directory / "checkpoints") as checkpoints:
        return jax.tree.map(np.asarray, checkpoints.load(SHORT, None))


def measured(result):
    return {name: asdict(result)[name] for name in MEASURED}


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_branch_ends_as_the_run_from_scratch_does(runs):
    root, _, scratch, branched = runs
    assert measured(branched) == measured(scratch)
    assert (branched.begun_at, scratch.begun_at) == (BRANCH_STEPS, 0)
    assert curve(root / "branch") == curve(root / "scratch")
    jax.tree.map(
        np.testing.assert_array_equal, final_state(root / "branch"), final_state(root / "scratch")
    )


def test_a_trunk_that_was_stopped_keeps_what_its_branches_need_and_is_the_same_run(
    runs, text, cache, tmp_path
):
    root, *_ = runs
    plain = epath.Path(tmp_path / "plain")
    train_run(small_run(text, steps=LONG, optimizer=WSD), plain, **options(cache))
    assert curve(root / "trunk") == curve(plain)
    saved = {path.name for path in (root / "trunk" / "checkpoints").iterdir()}
    assert len(saved) == 3
    assert saved >= {str(BRANCH_STEPS), str(LONG)}


def test_a_branch_that_was_stopped_goes_on_from_its_own_checkpoint(runs, cache, tmp_path):
    root, config, scratch, _ = runs
    trunk, branch = epath.Path(tmp_path / "trunk"), epath.Path(tmp_path / "branch")
    shutil.copytree(root / "trunk", trunk)
    often = dict(checkpoint_seconds=0.0, lineage=Lineage(Origin(trunk, BRANCH_STEPS)))

    with pytest.raises(Preempted):
        train_run(config, branch, **options(cache), **often, report=stopping_at(BRANCH_STEPS + 8))
    shutil.rmtree(trunk)
    result = train_run(config, branch, **options(cache), **often)
    assert measured(result) == measured(scratch)
    assert result.begun_at == BRANCH_STEPS


@pytest.mark.parametrize("lost", ["checkpoint", "curve"])
def test_a_branch_whose_trunk_lost_its_traces_is_trained_from_its_first_step(
    runs, cache, tmp_path, capfd, lost
):
    root, config, scratch, _ = runs
    trunk = epath.Path(tmp_path / "trunk")
    shutil.copytree(root / "trunk", trunk)
    origin = Origin(trunk, BRANCH_STEPS)
    assert origin.is_there
    if lost == "checkpoint":
        origin.release()
        assert not origin.is_there
    else:
        (trunk / "metrics.jsonl").unlink()
    result = train_run(
        config, epath.Path(tmp_path / "branch"), **options(cache), lineage=Lineage(origin)
    )
    assert measured(result) == measured(scratch)
    assert result.begun_at == 0
    assert "training from the first step" in capfd.readouterr().err
