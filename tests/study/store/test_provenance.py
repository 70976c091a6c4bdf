"""What a page says its runs come from, and which curves it shows."""

from small_studies import small_study, write_curve, write_fake_result

from scaling_jax.report.build import build_report
from scaling_jax.study import Store, curves


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
    write_curve(under_way, 1, 5.5)
    assert set(curves(store).run_id) == {done.run_id}
    assert set(curves(store, unfinished=True).run_id) == {done.run_id, under_way.run_id}
