"""Branches of a store end as runs from scratch do, for less, or say why they cannot."""

from dataclasses import replace

import pytest
from small_studies import RECIPE, losses, write_fake_result

from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.select import usable_rows
from scaling_jax.study import Branched, FixedModels, Store, Study, Warmup, collect, run_study
from scaling_jax.study.execution import attempt as attempts
from scaling_jax.study.execution.attempt import attempt_run
from scaling_jax.study.execution.job import Job
from scaling_jax.study.execution.packs import pack_runs
from scaling_jax.study.execution.run_queue import RunQueue
from scaling_jax.study.store.retry_policy import USUAL
from scaling_jax.study.store.stored_run import read_run
from scaling_jax.study.store.trunks import await_trunk, can_begin, lineage, origin, tidy

WSD = replace(RECIPE, optimizer_knobs={"schedule": "wsd"}, warmup=Warmup(share=0, floor=5))
HORIZONS = FixedModels(params=(5e3,), tokens_per_param=(2, 4, 8))


def study(**changes):
    return Study("branched", replace(WSD, **changes), Branched(HORIZONS))


@pytest.fixture
def planned(tmp_path):
    """Two branches, the shorter first, and their trunk, in a store where nothing was trained."""
    *branches, trunk = Store.create(tmp_path, study()).runs()
    return branches, trunk


def save(run, step):
    """What a whole checkpoint looks like from outside."""
    path = run.directory / "checkpoints" / str(step)
    path.mkdir(parents=True)
    (path / "commit_success.txt").touch()


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The study with a trunk and its branches, and as separate runs."""
    branched = run_study(study(), tmp_path_factory.mktemp("b"), workers=1, progress=False)
    apart = replace(study(), design=HORIZONS)
    return branched, run_study(apart, tmp_path_factory.mktemp("a"), workers=1, progress=False)


def test_branches_have_the_losses_of_separate_runs_bit_for_bit(stores):
    branched, apart = stores
    assert losses(branched) == losses(apart)
    assert len(losses(branched)) == 3


def test_records_say_what_is_a_branch_of_what_and_what_was_spent(stores):
    table, apart = (collect(store).set_index("run_id") for store in stores)
    trunk = table.index[-1]
    assert list(table.lineage) == ["branch", "branch", "trunk"]
    assert list(table.trunk[:2]) == [trunk, trunk]
    for run in stores[0].runs()[:2]:
        assert table.begun_at[run.run_id] == run.planned.branch.step
    assert (table.flops == apart.flops).all()
    spent = table.flops * (1 - table.begun_at / table.steps)
    assert table.flops_spent.tolist() == pytest.approx(spent.tolist())
    assert (apart.flops_spent == apart.flops).all()
    assert (apart.lineage == "single").all()
    assert usable_rows(checked(table)).loss.tolist() == table.loss.tolist()


def test_what_a_trunk_kept_is_gone_once_its_branches_are_over(stores):
    *branches, trunk = stores[0].runs()
    assert not any(origin(branch).is_there for branch in branches)
    saved = {path.name for path in (trunk.directory / "checkpoints").iterdir()}
    assert str(trunk.planned.config.steps) in saved


def test_a_trunk_keeps_what_branches_that_are_not_over_need(planned):
    (short, long), trunk = planned
    for run in (short, long):
        save(trunk, origin(run).step)
    assert lineage(trunk).kept == {origin(short).step, origin(long).step}
    write_fake_result(short)
    assert lineage(trunk).kept == {origin(long).step}
    tidy(short)
    assert origin(short).is_there  # The trunk is under way.
    write_fake_result(trunk)
    tidy(trunk)
    assert [origin(run).is_there for run in (short, long)] == [False, True]
    write_fake_result(long)
    tidy(long)
    assert not origin(long).is_there


@pytest.mark.parametrize(
    "content",
    [b"", b"many", b"1" * 5000, b"\xff", None],
    ids=["empty", "words", "5,000 digits", "no text", "directory"],
)
def test_a_damaged_list_of_branches_is_replaced_by_their_plans(planned, content):
    (short, long), trunk = planned
    path = trunk.directory / "branches" / short.run_id
    path.unlink()
    path.write_bytes(content) if content is not None else path.mkdir()
    assert lineage(trunk).kept == {origin(short).step, origin(long).step}
    # Without the plan nothing names the step, and the branch begins at its first one.
    (short.directory / "plan.json").write_text("[]")
    assert lineage(trunk).kept == {origin(long).step}


def test_a_branch_is_due_as_soon_as_its_trunk_has_passed_it(planned):
    (short, long), trunk = planned
    waiting = RunQueue([[short], [long], [trunk]])
    assert waiting.next(set()) == [trunk]
    assert waiting.next(set()) is None
    save(trunk, origin(long).step)
    assert waiting.next(set()) == [long]
    assert waiting.next(set()) is None
    # Finished, failed, or left to another process.
    waiting.finish(trunk)
    assert waiting.next(set()) == [short]


def test_a_branch_waits_for_a_trunk_that_is_to_be_tried_again(planned):
    (short, _), trunk = planned
    waiting = RunQueue([[short]])
    waiting.put_back([trunk], 1000.0)
    assert waiting.next(set()) is None
    assert waiting


def test_a_branch_that_has_begun_needs_its_trunk_no_more(planned):
    (short, _), _ = planned
    assert not can_begin(short)
    save(short, origin(short).step + 1)
    assert can_begin(short)


def test_a_branch_whose_trunk_another_process_has_is_left_to_it(planned):
    (short, _), trunk = planned
    with trunk.lock():
        text, wait = await_trunk(short, USUAL)
    assert "waits" in text
    assert trunk.run_id in text
    assert wait is None
    assert short.state == "planned"


def test_a_trunk_and_its_branches_are_never_in_one_pack(planned):
    branches, trunk = planned
    made = pack_runs([*branches, trunk], Job(pack=3))
    assert [[run.run_id for run in pack] for pack in made] == [
        [run.run_id for run in branches],
        [trunk.run_id],
    ]


def test_a_branch_of_a_trunk_that_diverged_before_it_has_diverged_too(planned, tmp_path):
    (short, long), trunk = planned
    at = origin(long).step
    save(trunk, origin(short).step)
    write_fake_result(trunk, status="diverged", steps=at, loss=None, tokens=at * 256)
    outcome = attempt_run(long)
    assert f"its trunk {trunk.run_id} diverged at step {at}" in outcome.text
    assert (long.state, long.result.steps) == ("diverged", at)
    # It had passed the shorter one, which continues.
    assert await_trunk(short, USUAL) is None
    assert short.state == "planned"
    table = collect(Store.open(tmp_path)).set_index("run_id")
    assert f"diverged at step {at}" in table.failure[long.run_id]
    assert table.flops_spent[long.run_id] == 0
    write_fake_result(short)
    rows = usable_rows(checked(collect(Store.open(tmp_path))))
    assert rows.run_id.tolist() == [short.run_id]


def test_branches_of_a_trunk_that_failed_have_failed_with_its_reason(tmp_path, monkeypatch):
    trunks = {run.branch.trunk for run in two_sizes().plan() if run.branch}
    broken = min(trunks)

    def train(config, directory, **options):
        if directory.name == broken:
            raise MemoryError("none left")
        write_fake_result(read_run(directory))

    monkeypatch.setattr(attempts, "train_run", train)
    once = replace(USUAL, attempts=1)
    store = run_study(two_sizes(), tmp_path, workers=1, progress=False, supervision=once)
    table = collect(store).set_index("run_id")
    theirs = (table.trunk == broken) | (table.index == broken)
    assert set(table.status[theirs]) == {"failed"}
    assert set(table.status[~theirs]) == {"finished"}
    assert table.failure[theirs].str.contains("MemoryError: none left").all()

    monkeypatch.setattr(attempts, "train_run", lambda c, d, **_: write_fake_result(read_run(d)))
    run_study(two_sizes(), tmp_path, workers=1, progress=False, retry_failed=True)
    assert set(collect(store).status) == {"finished"}


def two_sizes():
    return replace(study(), design=Branched(replace(HORIZONS, params=(5e3, 10e3))))


def test_a_stored_branch_is_what_was_planned(planned):
    branches, trunk = planned
    assert [run.planned for run in [*branches, trunk]] == list(study().plan())
    for run in branches:
        assert read_run(run.directory).planned.branch.trunk == trunk.run_id
