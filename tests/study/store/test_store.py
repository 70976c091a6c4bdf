"""A store keeps what was planned and knows how far everything is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_studies import RECIPE, small_study, write_fake_result

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import LogSpaced
from scaling_jax.errors import InputError
from scaling_jax.study import Store
from scaling_jax.study.store import history
from scaling_jax.study.store.root import refuse_unwritable


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path, small_study())


def files(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


def test_a_stored_run_is_what_was_planned_its_exact_budget_included(store):
    study = small_study()
    assert [run.planned for run in store.runs()] == list(study.plan())
    assert {run.planned.budget for run in store.runs()} == {2e9, 4e9}
    assert any(run.planned.flops != run.planned.budget for run in store.runs())
    assert store.study["recipe"]["batch_size"] == {"is": "ConstantBatch", "sequences": 8}


def own_rate(shape, tokens):
    return 5e-3 * (shape.d_model / 32) ** -0.5


def test_a_recipe_with_a_function_for_a_rule_is_stored_by_its_source(tmp_path):
    study = small_study()
    own = replace(study, recipe=replace(study.recipe, peak_lr=own_rate))
    stored = Store.create(tmp_path, own).study["recipe"]["peak_lr"]
    assert (stored["is"], stored["name"]) == ("function", "own_rate")
    other = replace(study, recipe=replace(study.recipe, peak_lr=lambda shape, tokens: 5e-3))
    assert own.recipe_hash == replace(own).recipe_hash != other.recipe_hash


def test_a_recipe_that_cannot_be_stored_leaves_nothing(tmp_path):
    class Rule:
        def __call__(self, shape, tokens):
            return 5e-3

    study = small_study()
    with pytest.raises(InputError, match="make it a frozen dataclass, or a function"):
        Store.create(tmp_path, replace(study, recipe=replace(study.recipe, peak_lr=Rule())))
    assert not list(tmp_path.iterdir())


def test_a_run_planned_again_for_another_budget_keeps_its_first_plan(store):
    run = store.runs()[0]
    store.add(replace(run.planned, budget=1.0))
    assert store.runs()[0].planned == run.planned


def test_a_changed_design_extends_the_store_and_loses_nothing(store, tmp_path):
    before = {run.run_id for run in store.runs()}
    write_fake_result(store.runs()[0])
    extended = Store.create(tmp_path, small_study(4e9, 8e9))
    after = {run.run_id for run in extended.runs()}
    assert before < after
    assert len(after) == 6
    assert extended.runs()[0].state == "finished"


def test_another_recipe_is_refused_and_changes_nothing(store, tmp_path):
    before = files(tmp_path)
    with pytest.raises(InputError, match="another recipe"):
        Store.create(tmp_path, small_study(seed=1))
    assert files(tmp_path) == before


def test_a_study_of_earlier_defaults_is_told_how_to_go_on(tmp_path):
    earlier = small_study(eval_tokens=131_072, eval_every=LogSpaced(share=None))
    Store.create(tmp_path, earlier)
    written = r"write eval_tokens=131_072 and LogSpaced\(share=None\) in the recipe"
    with pytest.raises(InputError, match=written):
        Store.create(tmp_path, small_study(eval_tokens=None, eval_every=LogSpaced()))
    with pytest.raises(InputError, match=r"131072 there and - here; .*\): choose another root"):
        Store.create(tmp_path, small_study(eval_tokens=None, eval_every=LogSpaced(), seed=1))


def test_a_study_whose_curves_took_a_tenth_is_told_how_to_go_on(tmp_path):
    Store.create(tmp_path, small_study(eval_every=LogSpaced(share=0.1)))
    with pytest.raises(InputError, match=r"write LogSpaced\(share=0.1\) in the recipe"):
        Store.create(tmp_path, small_study(eval_every=LogSpaced()))
    with pytest.raises(InputError, match=r"another recipe \(.*\): choose another root"):
        Store.create(tmp_path, small_study(eval_every=LogSpaced(share=0.2)))


def test_a_study_directory_is_not_a_root(store):
    with pytest.raises(InputError, match="belongs to the study 'small'"):
        Store.create(store.directory, small_study(name="other"))


@pytest.mark.parametrize("text", ['{"format": 1, "name": "small"}', '{"format": '])
def test_a_store_this_package_cannot_read_is_refused(store, tmp_path, text):
    (store.directory / "study.json").write_text(text)
    for use in (
        lambda: Store.open(store.directory),
        lambda: Store.open(tmp_path),
        lambda: Store.create(tmp_path, small_study()),
    ):
        with pytest.raises(InputError, match=r"format 1.*choose another root|not JSON"):
            use()
    assert (store.directory / "study.json").read_text() == text
    (store.directory / "study.json").unlink()
    assert len(Store.create(tmp_path, small_study()).runs()) == 4


def test_a_root_is_opened_if_it_holds_exactly_one_study(store, tmp_path):
    assert Store.open(tmp_path).directory == Store.open(store.directory).directory
    Store.create(tmp_path, small_study(name="second"))
    with pytest.raises(InputError, match=r"found s[a-z]*, s"):
        Store.open(tmp_path)
    for nothing in (tmp_path / "absent", store.directory / "runs", store.directory / "study.json"):
        with pytest.raises(InputError, match="found none"):
            Store.open(nothing)


def test_what_was_planned_is_there_for_readers_without_this_package(store):
    run = store.runs()[0]
    plan = json.loads((run.directory / "plan.json").read_text())
    counts = count_params(run.planned.config.shape)
    assert plan["budget"] == run.planned.budget
    assert plan["cell"] == {
        "params": counts.total,
        "params_non_embedding": counts.non_embedding,
        "params_active": counts.active,
        "tokens": run.planned.config.tokens,
        "flops": run.planned.flops,
    }


def test_an_edited_config_is_refused_and_a_reformatted_one_is_not(store):
    path = store.runs()[0].directory / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config, indent=2))
    assert len(store.runs()) == 4
    path.write_text(json.dumps(config | {"seed": 5}))
    with pytest.raises(InputError, match=r"config.json was changed: .*delete both and run"):
        store.runs()


@pytest.mark.parametrize("name", ["config.json", "plan.json"])
@pytest.mark.parametrize("text", ["", '{"budget": 1', "[]"])
def test_damaged_plans_are_refused_and_written_anew_once_deleted(store, tmp_path, name, text):
    run = store.runs()[0]
    (run.directory / name).write_text(text)
    with pytest.raises(InputError, match=r"damaged .*: restore config.json and plan.json, or"):
        store.runs()
    for each in ("config.json", "plan.json"):
        (run.directory / each).unlink()
    assert Store.create(tmp_path, small_study()).runs()[0].planned == run.planned


def test_a_damaged_result_is_none(store):
    run = store.runs()[0]
    write_fake_result(run)
    path = run.directory / "result.json"
    path.write_bytes(path.read_bytes()[:50])
    assert (run.result, run.state) == (None, "planned")
    path.write_bytes(b"\xff\xfe")
    assert run.state == "planned"


def test_the_state_of_a_run(store):
    planned, running, finished, diverged = store.runs()
    write_fake_result(finished)
    write_fake_result(diverged, status="diverged", loss=None)

    def states():
        return [run.state for run in store.runs()]

    with running.lock() as mine:
        assert mine
        assert states() == ["planned", "leased", "finished", "diverged"]
        history.record(running.directory, "running")
        assert states() == ["planned", "running", "finished", "diverged"]
    # Nobody holds it any more, whatever its history says.
    assert running.state == "planned"
    history.record(planned.directory, "failed", reason="MemoryError: none left", attempts=3)
    assert (planned.state, planned.failure) == ("failed", "MemoryError: none left")
    history.record(planned.directory, "planned")
    assert (planned.state, planned.failure) == ("planned", None)


def test_a_run_can_be_cancelled_and_restored_until_it_is_over(store):
    run, over = store.runs()[:2]
    with pytest.raises(InputError, match="is planned, not cancelled"):
        run.restore()
    run.cancel()
    assert run.state == "cancelled"
    with pytest.raises(InputError, match="is cancelled: only"):
        run.cancel()
    run.restore()
    assert run.state == "planned"
    assert [event.state for event in history.events(run.directory)] == ["cancelled", "planned"]
    write_fake_result(over)
    with pytest.raises(InputError, match="is finished: only a run that has not ended"):
        over.cancel()


def test_a_run_is_locked_for_one_at_a_time(store):
    run = store.runs()[0]
    with run.lock() as first, run.lock() as second:
        assert (first, second) == (True, False)
    with run.lock() as again:
        assert again


def test_a_root_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("here first")
    for root in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match=r"file is a file; choose another root"):
            refuse_unwritable(root)
        with pytest.raises(InputError, match="choose another root"):
            Store.create(root, small_study())
    assert files(tmp_path) == {tmp_path / "file": b"here first"}


def test_results_are_plain_json(store):
    run = store.runs()[0]
    write_fake_result(run, loss=None, status="diverged")
    assert json.loads((run.directory / "result.json").read_text())["loss"] is None
    assert RECIPE.seed == run.planned.config.seed
