"""Branches with other batches, trained: from the checkpoint of their trunk, or not at all."""

import shutil
from dataclasses import replace

import pytest

import scaling_jax as sj
from scaling_jax.config import NoiseScale
from scaling_jax.errors import InputError, LeftOutWarning
from scaling_jax.study import BatchBranches, FixedModels, Store, Study, run_study
from scaling_jax.train import train_run

from small_studies import RECIPE  # isort: skip

STUDY = Study(
    "branches",
    replace(
        RECIPE,
        optimizer_knobs={"schedule": "constant"},
        noise_scale=NoiseScale(every=2**14, sequences=8),
    ),
    BatchBranches(FixedModels((5e3,), (12.0,)), at=(0.5, 1.0), factors=(1, 2), window=4096),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("branches")
    run_study(STUDY, root, progress=False)
    return root


def test_a_branch_with_the_batch_of_its_trunk_is_the_trunk_itself(root):
    """Its losses are those of the trunk's next steps, bit for bit."""
    store = Store.open(root)
    assert [run.state for run in store.runs()] == ["finished"] * 5
    trunk = next(run for run in store.runs() if run.planned.role == "grid")
    same = next(
        run
        for run in store.runs()
        if run.planned.config.start
        and run.planned.config.batch_size == trunk.planned.config.batch_size
        and run.planned.branch.step < trunk.planned.config.steps
    )
    rows, theirs = (_losses(run) for run in (same, trunk))
    begun = same.planned.branch.step
    assert len(rows) == 16
    n = min(len(rows), len(theirs) - begun)
    assert rows[:n] == theirs[begun : begun + n]


def _losses(run):
    from scaling_jax.runs.curve_files import read_metrics

    return [row["loss"] for row in read_metrics(run.directory)]


def test_records_and_tables(root):
    records = sj.collect(root).set_index("run_id")
    branches = records[records.role == "branch"]
    assert (branches.flops_spent == branches.flops).all()
    assert set(branches.lineage) == {"branch"}
    assert (branches.tokens == 4096).all()
    trunk = records[records.role == "grid"].iloc[0]
    assert trunk.noise_scale_low < trunk.noise_scale_tokens
    table = sj.branch_losses(root)
    assert table.batch_tokens.tolist() == [256, 512] * 2
    assert set(table.tokens) == {
        trunk.tokens,
        branches.start.str.extract(r"(\d+)")[0].astype(int).min() * 256,
    }
    assert table.set_index("run_id").loss.to_dict() == branches.loss.to_dict()
    assert len(sj.largest_batch(table, noise=0.01)) == 2
    assert sj.curves(root).run_id.unique().tolist() == [trunk.name]


def test_the_noise_scale_is_a_table_in_tokens(root):
    table = sj.noise_scale(root)
    assert (table.noise_scale_low <= table.noise_scale).all()
    assert table.noise_scale.iloc[-1] == pytest.approx(
        32 * table.noise.iloc[-1] / table.grad_sq.iloc[-1]
    )
    whole = sj.noise_scale(root, together=len(table)).iloc[0]
    assert whole.noise_scale == pytest.approx(32 * table.noise.mean() / table.grad_sq.mean())
    assert whole.noise == pytest.approx(table.noise.mean())
    with pytest.raises(InputError, match="together 0"):
        sj.noise_scale(root, together=0)


def test_measurements_that_were_changed_are_left_out(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    (path,) = (tmp_path / "copy").glob("*/runs/*/noise_scale.jsonl")
    path.write_text(path.read_text().replace('"noise": ', '"noise": 1'))
    with pytest.warns(LeftOutWarning, match="noise_scale.jsonl was changed"):
        assert sj.noise_scale(tmp_path / "copy").empty


def test_a_trunk_keeps_its_last_checkpoint_and_drops_those_of_its_branches(root):
    store = Store.open(root)
    trunk = next(run for run in store.runs() if run.planned.role == "grid")
    kept = {path.name for path in (trunk.directory / "checkpoints").iterdir()}
    assert str(trunk.planned.config.steps) in kept
    assert str(trunk.planned.config.steps // 2) not in kept


def test_branches_of_a_run_that_kept_no_checkpoint_are_refused_before_training(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    later = replace(STUDY, design=replace(STUDY.design, at=(0.75,)))
    runs = sorted((tmp_path / "copy" / "branches" / "runs").iterdir())
    trunk = Store.open(tmp_path / "copy").runs()
    name = next(run.run_id for run in trunk if run.planned.role == "grid")
    with pytest.raises(InputError, match=f"step .* of run {name}, which has ended and kept no"):
        run_study(later, tmp_path / "copy", progress=False)
    assert sorted(path for path in runs if path.exists()) == runs
    (branch,) = [run for run in later.plan() if run.config.start][:1]
    with pytest.raises(InputError, match="starts from a checkpoint of another run"):
        train_run(branch.config, tmp_path / "alone", progress=False)
