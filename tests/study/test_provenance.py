"""Every record says what it comes from."""

from small_studies import small_study, write_fake_result

from scaling_jax.report.build import build_report
from scaling_jax.study import Store, collect, curves
from scaling_jax.train.code import code_state
from scaling_jax.train.metrics import METRICS_FILE


def test_a_record_leads_to_its_run_source_and_machine(finished):
    table = collect(finished)
    for run, row in zip(finished.runs(), table.itertuples(), strict=True):
        assert row.run_id == run.planned.config.run_id
        assert row.data_fingerprint == run.result.data_fingerprint
        assert (row.device, row.devices) == ("cpu", 1)
        assert row.scaling_jax == run.result.packages["scaling_jax"]
        assert row.jax
        assert row.python.startswith("3.")
        assert row.commit == run.result.code.get("commit")
        assert row.code_changed == run.result.code.get("changed")
        assert set(run.result.code) == set(code_state())
        assert (row.seed, row.corpus) == (0, run.planned.config.data.corpus)


def test_a_page_shows_every_source_that_runs_came_from(tmp_path):
    store = Store.create(tmp_path, small_study())
    for run, commit in zip(store.runs(), "aabb", strict=True):
        write_fake_result(run, code={"commit": commit, "changed": commit == "b"}, devices=2)
    provenance = build_report(store, bootstrap=0).provenance
    assert provenance["source"] == "commit a, commit b with changes"
    assert provenance["device"] == "2 x cpu"


def test_curves_of_runs_under_way_are_to_look_at_only(tmp_path):
    store = Store.create(tmp_path, small_study())
    done, under_way, *_ = store.runs()
    write_fake_result(done)
    for run in (done, under_way):
        (run.directory / METRICS_FILE).write_text('{"step": 1, "tokens": 256, "loss": 5.5}\n')
    assert set(curves(store).run_id) == {done.run_id}
    assert set(curves(store, unfinished=True).run_id) == {done.run_id, under_way.run_id}
