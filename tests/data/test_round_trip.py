"""What a tokenizer loses is measured, and what cannot be decoded is counted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.data import load_tokenizer, prepare
from scaling_jax.data.round_trip import round_trip
from scaling_jax.errors import InputError
from scaling_jax.study.plan.text_needs import check_text
from scaling_jax.train.inputs import load_inputs

CODE = [f"def f_{i}(x):\n    if x > {i}:\n\n        return  x + {i}  # ends" for i in range(400)]


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SentencePiece with its default settings, which normalize whitespace and know no bytes."""
    import sentencepiece

    prefix = tmp_path_factory.mktemp("lossy") / "model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in CODE for line in text.splitlines()),
        model_prefix=str(prefix),
        vocab_size=120,
        model_type="bpe",
        minloglevel=2,
    )
    return f"sentencepiece:{prefix}.model"


def write(folder: Path, documents: list[str]) -> str:
    path = folder / "code.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in documents))
    return f"jsonl:{path}"


def test_a_lossy_tokenizer_is_reported_and_gives_no_bits_per_byte(lossy, tmp_path, capsys):
    cache = prepare(write(tmp_path, CODE), lossy, tmp_path / "cache", progress=False)
    assert not cache.round_trip.is_lossless
    assert cache.round_trip.changed_documents == cache.round_trip.documents > 5
    assert cache.bytes_per_token is None
    warning = capsys.readouterr().err
    kept = cache.round_trip.bytes_decoded / cache.round_trip.bytes_given
    assert 0.5 < kept < 0.95
    assert "is lossy" in warning
    assert f"{100 * kept:.3g} % of the bytes come back" in warning
    with pytest.raises(InputError, match=r"is lossy.*lossy_tokenizer=True"):
        cache.check_lossless(lossy, lossy_tokenizer=False)
    cache.check_lossless(lossy, lossy_tokenizer=True)


def test_runs_refuse_a_lossy_tokenizer_unless_they_allow_it(lossy, tmp_path):
    shape = Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=120, seq_len=16)
    text = DataConfig(write(tmp_path, CODE), lossy)
    config = RunConfig(shape, text, OptimizerConfig(1e-3, 1), 1, 4, eval_tokens=64)
    with pytest.raises(InputError, match="is lossy"):
        load_inputs(config, tmp_path / "cache", progress=False)
    (problem,) = check_text([config], tmp_path / "cache", progress=False).problems
    assert problem.startswith("recipe.data.tokenizer: ")
    allowed = replace(config, data=replace(text, lossy_tokenizer=True))
    assert allowed.run_id != config.run_id
    assert check_text([allowed], tmp_path / "cache", progress=False).problems == ()
    inputs = load_inputs(allowed, tmp_path / "cache", progress=False)
    assert next(iter(inputs.held_out.values())).bytes_per_token is None


def test_bytes_lose_nothing(tmp_path, capsys):
    cache = prepare(write(tmp_path, CODE), "bytes", tmp_path / "cache", progress=False)
    assert cache.round_trip.changed_documents == 0
    assert cache.round_trip.bytes_given == cache.round_trip.bytes_decoded > 0
    assert cache.bytes_per_token == pytest.approx(1.0)
    assert capsys.readouterr().err == ""


def test_a_cache_without_the_measurement_gets_it(tmp_path):
    corpus = write(tmp_path, CODE)
    first = prepare(corpus, "bytes", tmp_path / "cache", progress=False)
    (measured,) = (tmp_path / "cache").glob("*/round_trip.json")
    measured.unlink()
    again = prepare(corpus, "bytes", tmp_path / "cache", progress=False)
    assert again.round_trip == first.round_trip
    assert measured.exists()


def test_one_changed_document_in_thousands_still_leaves_bits_per_byte():
    tokenizer = load_tokenizer("bytes")
    same = ["a text that comes back as it was"] * 2000
    assert round_trip(same, tokenizer).is_lossless


def test_half_a_surrogate_pair_becomes_the_replacement_character_and_is_counted(tmp_path, capsys):
    documents = [f"document {i} of a corpus" for i in range(400)]
    path = tmp_path / "bad.jsonl"
    lines = [json.dumps({"text": text}) for text in documents]
    lines[7] = '{"text": "half \\ud83d of a pair"}'
    path.write_text("\n".join(lines))
    cache = prepare(
        f"jsonl:{path}", "bytes", tmp_path / "cache", held_out_fraction=0.3, progress=False
    )
    text = bytes([*cache.train, *cache.held_out]).decode()
    assert "half \ufffd of a pair" in text
    assert "1 characters could not be decoded" in capsys.readouterr().err
