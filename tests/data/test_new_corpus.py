"""A new corpus: one function that returns a `Corpus`, and one row of `CORPORA`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scaling_jax.config import DataConfig
from scaling_jax.data import Corpus, load_corpus, prepare
from scaling_jax.data.registry import CORPORA, Kind
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, FixedModels, Recipe, Study, run_study


def load_counting(argument: str) -> Corpus:
    """The numbers up to the argument in words of digits, a document for every hundred."""
    if not argument.isdecimal():
        raise InputError(f"counting:{argument} is not a number: use counting:100000")

    def documents() -> Iterator[str]:
        for first in range(0, int(argument), 100):
            yield " ".join(map(str, range(first, first + 100)))

    return Corpus(f"counting:{argument}", f"counting-{argument}", documents)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CORPORA, "counting", Kind("counting:NUMBER", load_counting))


def test_it_is_loaded_under_its_name() -> None:
    texts = list(load_corpus("counting:300").documents())
    assert len(texts) == 3
    assert texts[1].startswith("100 101 102 ")


def test_its_own_checks_and_the_list_of_corpora_reach_the_user() -> None:
    with pytest.raises(InputError, match="use counting:100000"):
        load_corpus("counting:many")
    with pytest.raises(InputError, match=r"synthetic:SPEC, counting:NUMBER$"):
        load_corpus("counting")


def test_its_tokens_are_cached_by_its_fingerprint(tmp_path: Path) -> None:
    few, many = (prepare(f"counting:{n}", "bytes", tmp_path) for n in (10_000, 20_000))
    assert few.fingerprint != many.fingerprint
    assert len(few.train) < len(many.train)


def test_a_study_trains_on_it(tmp_path: Path) -> None:
    recipe = Recipe(
        data=DataConfig("counting:100000"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    )
    design = FixedModels(params=(5e3,), tokens_per_param=(4.0,))
    store = run_study(
        Study("counting", recipe, design),
        tmp_path / "root",
        workers=1,
        cache_dir=tmp_path / "cache",
        progress=False,
    )
    (run,) = store.runs()
    assert run.result is not None
    assert run.result.status == "finished"
    # Digits in order are far easier than bytes at random, log 256 = 5.5 nats.
    assert run.result.loss is not None
    assert run.result.loss < 3.0
