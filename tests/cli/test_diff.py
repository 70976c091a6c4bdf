import dataclasses
from collections.abc import Callable
from pathlib import Path

from scaling_jax.runs.result import write_result
from scaling_jax.study import Store, Study, load_experiment

ISOFLOP = "chinchilla-isoflop"


def differing(outcome: dict) -> dict:
    return {row["field"]: (row["a"], row["b"]) for row in outcome["differences"]}


def test_fields_that_differ_are_named_with_both_values(cli: Callable) -> None:
    printed = cli("diff", ISOFLOP, "demo", "--scale", "smoke", "--json").json
    assert differing(printed) == {"name": ("chinchilla-isoflop-smoke", "demo-smoke")}
    assert printed["runs"] == {"both": 12, "only_a": 0, "only_b": 0}
    printed = cli("diff", ISOFLOP, "cosine-overshoot", "--scale", "cpu", "--json").json
    fields = differing(printed)
    # Where the classes differ there are no fields to compare.
    assert [side["is"] for side in fields["design"]] == ["IsoFlop", "Sweep"]
    assert fields["recipe.peak_lr.value"] == (0.006, 0.03)
    rule = {f"recipe.peak_lr.{field}" for field in ("value", "reference_params", "exponent")}
    assert set(fields) == {"name", "design", *rule}
    assert printed["runs"] == {"both": 0, "only_a": 20, "only_b": 18}


def test_a_default_is_no_difference_from_the_same_value(cli: Callable) -> None:
    fields = differing(cli("diff", ISOFLOP, "chinchilla-horizons", "--json").json)
    # One says beta2 0.95 and weight_decay 0.1, which are what the other has by default.
    assert set(fields) == {"name", "design"}


def test_a_store_is_compared_with_the_file_it_came_from(cli: Callable, tmp_path: Path) -> None:
    experiment = Path(__file__).parents[2] / "experiments" / "chinchilla_isoflop.py"
    Store.create(tmp_path, load_experiment(experiment, "smoke"))
    same = cli("diff", tmp_path, experiment, "--scale", "smoke")
    assert (same.code, same.err) == (0, "")
    assert "are the same." in same.out
    assert "12 runs are the same in both, 0 are only in A, 0 only in B." in same.out
    other = cli("diff", tmp_path, experiment, "--scale", "cpu")
    assert other.code == 0
    lines = {line.split()[0]: line for line in other.out.splitlines() if line.startswith("recipe")}
    changed = {"batch_size.sequences", "family.seq_len", "eval_tokens"}
    assert set(lines) == {f"recipe.{field}" for field in changed}
    assert lines["recipe.family.seq_len"].split() == ["recipe.family.seq_len", "32", "128"]


def test_what_the_runs_of_two_directories_were_made_with(
    cli: Callable, store: Store, study: Study, finish: Callable, tmp_path: Path
) -> None:
    other = Store.create(tmp_path / "other", study)
    assert differing(cli("diff", store.directory, other.directory, "--json").json) == {}
    run = other.runs()[0]
    finish(run, "finished")
    assert run.result is not None
    later = dataclasses.replace(run.result, packages={"jax": "0.12.0"})
    write_result(run.directory, later, run.planned.config)
    printed = differing(cli("diff", store.directory, other.directory, "--json").json)
    assert printed == {"made_with.jax": ("0.10.2", "0.12.0")}


def test_what_is_no_study_is_refused(cli: Callable, tmp_path: Path) -> None:
    assert cli("diff", tmp_path, "demo").code == 2
    code, _, err = cli("diff", "demo", "dmeo")
    assert code == 2
    assert "did you mean 'demo'" in err
