"""What a corpus holds, and what a tokenizer that was trained on it makes of its text."""

from pathlib import Path

import pytest

from scaling_jax.data import (
    Corpus,
    check_corpus,
    check_tokenizer,
    load_corpus,
    load_tokenizer,
    train_bpe,
    train_sentencepiece,
    train_tokenizer,
)
from scaling_jax.data.split import is_held_out
from scaling_jax.errors import InputError

DOCUMENTS = [f"The loss of model {i} is {i * i}, and its law is a power of {i}." for i in range(99)]
SAMPLE = ["the law of the loss", "  two  spaces,\n\na\ttab", "emoji 🙂, 漢字, ß", "", "\n"]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    (tmp_path / "t.txt").write_text("\n\n".join(DOCUMENTS))
    return f"text:{tmp_path / 't.txt'}"


@pytest.mark.parametrize("kind", ["sentencepiece", "bpe"])
def test_a_trained_tokenizer_gives_back_any_text(kind, corpus, tmp_path):
    name = train_tokenizer(corpus, kind, 300, tmp_path / "tokenizer")
    tokenizer = load_tokenizer(name)
    assert tokenizer.vocab_size == 300
    for text in [*SAMPLE, *DOCUMENTS]:
        ids = [int(i) for i in tokenizer.encode(text)]
        assert tokenizer.decode(ids) == text
        assert tokenizer.separator not in ids
    found = check_tokenizer(name, corpus)
    assert (found.is_lossless, found.unknown, found.round_trip.documents) == (True, 0, 99)
    n_bytes = sum(len(text) + 1 for text in DOCUMENTS)
    n_tokens = sum(len(tokenizer.encode(text)) + 1 for text in DOCUMENTS)
    assert found.bytes_per_token == pytest.approx(n_bytes / n_tokens)
    assert n_tokens < 0.8 * n_bytes


def test_held_out_documents_do_not_train_the_tokenizer(corpus, tmp_path):
    train_tokenizer(corpus, "sentencepiece", 300, tmp_path / "one")
    training = [text for text in DOCUMENTS if not is_held_out(text.encode())]
    assert 80 < len(training) < 99
    alone = Corpus("training", "training", lambda: iter(training))
    train_sentencepiece(alone, 300, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_kind_of_a_tokenizer_follows_from_its_file(corpus, tmp_path):
    train_tokenizer(corpus, "bpe", 300, tmp_path / "t.json")
    found = check_tokenizer(str(tmp_path / "t.json"), corpus)
    assert found.tokenizer == f"hf:{tmp_path / 't.json'}"


@pytest.mark.parametrize(("vocab_size", "match"), [(256, "below 257"), (5000, "cannot train 5000")])
def test_a_vocabulary_that_the_text_cannot_fill_is_refused(vocab_size, match, corpus, tmp_path):
    with pytest.raises(InputError, match=match):
        train_bpe(load_corpus(corpus), vocab_size, tmp_path / "t.json")
    assert not (tmp_path / "t.json").exists()


def test_unknown_words_and_changed_documents_are_counted(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1, "</s>": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "words.json"))
    (tmp_path / "t.txt").write_text("a\n\na b c a\n\na a")
    found = check_tokenizer(str(tmp_path / "words.json"), f"text:{tmp_path / 't.txt'}")
    # "a b c a" comes back as "a [UNK] [UNK] a"; the other two come back unchanged.
    assert (found.tokens, found.unknown, found.used) == (10, 2, 2)
    assert found.round_trip.bytes_changed == len("a b c a")
    assert not found.is_lossless
    assert "lossy" in str(found)


def test_a_corpus_is_counted_and_its_duplicates_are_found(tmp_path):
    held_out = next(text for text in DOCUMENTS if is_held_out(text.encode()))
    alike = next(
        text
        for text in (held_out.upper(), held_out.replace(",", " -"), held_out + "!", held_out + "?")
        if not is_held_out(text.encode())
    )
    documents = [*DOCUMENTS, alike, DOCUMENTS[3], DOCUMENTS[3]]
    (tmp_path / "t.txt").write_text("\n\n\n".join(documents))
    found = check_corpus(f"text:{tmp_path / 't.txt'}")
    assert found.train.documents + found.held_out.documents == len(documents)
    assert found.train.bytes + found.held_out.bytes == sum(map(len, documents))
    assert found.train.tokens == found.train.bytes + found.train.documents
    assert (found.duplicates, found.shared, found.replaced) == (2, 1, 0)
    assert "a document ends at a blank line" in str(found)


def test_one_document_leaves_a_side_of_the_split_empty(tmp_path):
    (tmp_path / "t.txt").write_text("one line\nand another\n")
    assert "one side of the split is empty" in str(check_corpus(f"text:{tmp_path / 't.txt'}"))
