"""Everything that is wrong with the text of a study is found at once, before training."""

import json
import re
from dataclasses import replace

import pytest
from small_studies import RECIPE, small_study

from scaling_jax.config import DataConfig, EvalSet
from scaling_jax.data.split import is_held_out
from scaling_jax.errors import InputError
from scaling_jax.study.plan.text_needs import check_text, is_local


def configs_of(study):
    return [run.config for run in study.plan()]


def test_every_fault_is_listed_with_its_field_and_the_run_that_needs_most(tmp_path):
    text = tmp_path / "short.txt"
    text.write_text("\n\n".join(f"document {i} says little " * 5 for i in range(500)))
    family = replace(RECIPE.family, vocab_size=200)
    study = small_study(data=DataConfig(f"text:{text}"), eval_tokens=10_000, family=family)
    configs = configs_of(study)
    found = check_text(configs, progress=False).problems
    fields = [problem.partition(":")[0] for problem in found]
    assert fields == ["recipe.family.vocab_size", "recipe.data", "recipe.eval_tokens"]
    longest = max(configs, key=lambda config: config.tokens)
    assert f"run {longest.run_id}, which needs most of 2 such runs" in found[1]
    assert "DataConfig(repeat=True)" in found[1]
    with pytest.raises(InputError, match="3 problems"):
        check_text(configs, progress=False).refuse()
    repaired = small_study(data=DataConfig(f"text:{text}", repeat=True), eval_tokens=1024)
    check_text(configs_of(repaired), progress=False).refuse()


def test_every_evaluation_set_is_checked_before_training(tmp_path):
    documents = [f"document {i} says little " * 8 for i in range(2000)]
    text, other = tmp_path / "text.txt", tmp_path / "other.txt"
    text.write_text("\n\n".join(documents))
    other.write_text("\n\n".join([*documents[:40], *(f"mine {each}" for each in documents)]))
    short = tmp_path / "short.txt"
    short.write_text("\n\n".join(f"few {each}" for each in documents[:60]))
    evals = (
        EvalSet("fine", f"text:{other}"),
        EvalSet("trained", f"text:{other}", "all"),
        EvalSet("short", f"text:{short}"),
        EvalSet("absent", f"text:{tmp_path / 'absent.txt'}"),
        EvalSet("far", "tfds:c4/en"),
    )
    data = DataConfig(f"text:{text}", repeat=True)
    configs = configs_of(small_study(data=data, eval_tokens=2048, evals=evals))
    found = check_text(configs, progress=False, download=False).problems
    assert [problem.partition("set ")[0] for problem in found] == ["recipe.evals: evaluation "] * 3
    assert re.search(r"'trained' shares \d+ documents of .* with the training text", found[0])
    assert "'short' (held_out)" in found[1]
    assert "eval_tokens" in found[1]
    assert "absent.txt" in found[2]


def test_questions_that_stand_in_the_training_text_are_warned_of(tmp_path):
    documents = [f"document {i} says little of many things " * 8 for i in range(2000)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    trained = next(d for d in documents if not is_held_out(d.strip().encode()))
    requested = [
        (trained[:90], " of"),
        ("something that nobody has written before, in any", " book"),
    ]
    path = tmp_path / "task.jsonl"
    rows = [{"context": c, "continuations": [a, " no"], "gold": 0} for c, a in requested]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(f"text:{tmp_path / 'text.txt'}", repeat=True)
    study = small_study(data=data, eval_tokens=2048, evals=(EvalSet("mine", f"task:{path}"),))
    found = check_text(configs_of(study), progress=False)
    assert found.problems == ()
    (warning,) = found.warnings
    assert "evaluation set 'mine': 1 of the 2 questions" in warning
    assert "line 1" in warning


@pytest.mark.parametrize("corpus", ["tfds:c4/en", "mixture:embedded*0.5,tfds:c4/en*0.5"])
def test_corpora_that_would_be_downloaded_are_not_local(corpus):
    study = small_study(data=DataConfig(corpus, "sentencepiece:absent.model"))
    assert not any(map(is_local, configs_of(study)))
    assert all(map(is_local, configs_of(small_study())))
