"""Everything that is wrong with the text of a study is found at once, before training."""

from dataclasses import replace

import pytest
from small_studies import RECIPE, small_study

from scaling_jax.config import DataConfig
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


@pytest.mark.parametrize("corpus", ["tfds:c4/en", "mixture:embedded*0.5,tfds:c4/en*0.5"])
def test_corpora_that_would_be_downloaded_are_not_local(corpus):
    study = small_study(data=DataConfig(corpus, "sentencepiece:absent.model"))
    assert not any(map(is_local, configs_of(study)))
    assert all(map(is_local, configs_of(small_study())))
