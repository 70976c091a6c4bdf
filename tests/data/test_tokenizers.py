import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.data import load_corpus, load_tokenizer, train_sentencepiece
from scaling_jax.data.corpus import Corpus
from scaling_jax.errors import InputError

SAMPLE = ["the law of the loss", "  two  spaces,\n\na\ttab", "emoji 🙂, 漢字, ß", "", "\n"]
DOCUMENTS = [f"the loss of model {i} is {i * i} and its law is a power of {i}" for i in range(300)]


def corpus_of(*documents: str) -> Corpus:
    return Corpus("sample", "sample", lambda: iter(documents))


@pytest.fixture(scope="module")
def sentencepiece_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizers") / "folder" / "model"
    train_sentencepiece(corpus_of(*DOCUMENTS), 300, path)
    return path


@pytest.fixture
def hf_file(tmp_path: Path) -> Path:
    return write_hf(tmp_path / "tokenizer.json", ["</s>"])


def write_hf(path: Path, special: list[str], **changes: object) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(DOCUMENTS, trainer)
    path.write_text(json.dumps(json.loads(model.to_str()) | changes))
    return path


@given(st.text())
def test_bytes_are_the_texts_utf8(text: str) -> None:
    tokenizer = load_tokenizer("bytes")
    ids = tokenizer.encode(text)
    assert bytes(np.asarray(ids, np.uint8)) == text.encode()
    assert tokenizer.decode(list(ids)) == text
    assert tokenizer.vocab_size == 256
    assert tokenizer.separator == ord("\n")


@pytest.mark.parametrize("text", SAMPLE)
def test_sentencepiece_gives_back_any_text(text: str, sentencepiece_file: Path) -> None:
    tokenizer = load_tokenizer(f"sentencepiece:{sentencepiece_file}")
    ids = list(tokenizer.encode(text))
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


def test_sentencepiece_learns_the_corpus(sentencepiece_file: Path) -> None:
    tokenizer = load_tokenizer(f"sentencepiece:{sentencepiece_file}")
    assert tokenizer.vocab_size == 300
    assert len(tokenizer.encode(DOCUMENTS[0])) < len(DOCUMENTS[0]) / 1.5
    # The end of a document is a token that no text holds.
    assert tokenizer.separator not in tokenizer.encode("</s> " + DOCUMENTS[0])


def test_training_twice_gives_the_same_tokenizer(sentencepiece_file: Path, tmp_path: Path) -> None:
    train_sentencepiece(corpus_of(*DOCUMENTS), 300, tmp_path / "again")
    one, other = (
        load_tokenizer(f"sentencepiece:{path}") for path in (sentencepiece_file, tmp_path / "again")
    )
    assert one.fingerprint == other.fingerprint


def test_a_tokenizer_is_trained_at_its_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("\n\n".join(DOCUMENTS))
    name = f"trained:300:text:{tmp_path / 'text.txt'}"
    first = load_tokenizer(name)
    assert (first.name, first.vocab_size) == (name, 300)
    (model,) = (tmp_path / "cache" / "tokenizers").iterdir()
    model.rename(tmp_path / "kept")
    # Lost caches change no tokens, and another text gives another tokenizer.
    assert load_tokenizer(name).fingerprint == first.fingerprint
    assert model.read_bytes() == (tmp_path / "kept").read_bytes()
    (tmp_path / "text.txt").write_text("\n\n".join(DOCUMENTS[:250]))
    assert load_tokenizer(name).fingerprint != first.fingerprint


@pytest.mark.parametrize("name", ["trained:embedded", "trained:12.5:embedded", "trained:512:"])
def test_a_tokenizer_to_train_has_a_size_and_a_corpus(name: str) -> None:
    with pytest.raises(InputError, match="names no vocabulary size and corpus"):
        load_tokenizer(name)


def test_long_lines_are_trained_on(tmp_path: Path) -> None:
    train_sentencepiece(corpus_of("power law " * 1000), 280, tmp_path / "model")
    assert len(load_tokenizer(f"sentencepiece:{tmp_path / 'model'}").encode("power law")) < 5


def test_too_many_pieces_for_the_text_are_refused_and_an_old_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("precious")
    for corpus in (corpus_of("little text"), corpus_of()):
        with pytest.raises(InputError, match="cannot train 5000 pieces on sample"):
            train_sentencepiece(corpus, 5000, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_text() == "precious"


def test_a_tokenizer_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the tokenizer"):
        train_sentencepiece(corpus_of(*DOCUMENTS), 300, tmp_path / "file" / "model")


def test_a_model_without_an_end_of_text_is_refused(tmp_path: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(DOCUMENTS),
        model_prefix=str(tmp_path / "m"),
        vocab_size=60,
        eos_id=-1,
        minloglevel=2,
    )
    with pytest.raises(InputError, match="no end-of-text piece"):
        load_tokenizer(f"sentencepiece:{tmp_path / 'm.model'}")


@pytest.mark.parametrize("text", SAMPLE)
def test_a_tokenizers_file_gives_back_any_text(text: str, hf_file: Path) -> None:
    tokenizer = load_tokenizer(f"hf:{hf_file}")
    ids = list(tokenizer.encode(text))
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


def test_a_tokenizers_file_says_its_size_and_end_of_text(hf_file: Path) -> None:
    tokenizer = load_tokenizer(f"hf:{hf_file}")
    vocabulary = json.loads(hf_file.read_text())["model"]["vocab"]
    assert tokenizer.vocab_size == 1 + max(vocabulary.values()) == 300
    assert tokenizer.separator == vocabulary["</s>"]


def test_a_tokenizers_file_with_gaps_in_its_ids_has_room_for_all(hf_file: Path) -> None:
    content = json.loads(hf_file.read_text())
    vocabulary = content["model"]["vocab"]
    letter = next(token for token, i in vocabulary.items() if i == 40)
    vocabulary[letter] = 999
    hf_file.write_text(json.dumps(content))
    tokenizer = load_tokenizer(f"hf:{hf_file}")
    assert max(tokenizer.encode(letter)) == 999
    assert tokenizer.vocab_size == 1000


def test_a_tokenizers_file_that_cuts_and_pads_does_neither_here(tmp_path: Path) -> None:
    plain = load_tokenizer(f"hf:{write_hf(tmp_path / 'plain.json', ['</s>'])}")
    cutting = write_hf(
        tmp_path / "cutting.json",
        ["</s>"],
        truncation={"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "</s>",
        },
    )
    tokenizer = load_tokenizer(f"hf:{cutting}")
    for text in ("a", DOCUMENTS[0]):
        assert list(tokenizer.encode(text)) == list(plain.encode(text))


def test_without_an_end_of_text_the_newline_separates(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(f"hf:{write_hf(tmp_path / 't.json', [])}")
    assert tokenizer.decode([tokenizer.separator]) == "\n"


def test_a_file_with_neither_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    words = models.WordLevel({"a": 0, "[UNK]": 1, "b": 2}, unk_token="[UNK]")
    Tokenizer(words).save(str(tmp_path / "t.json"))
    with pytest.raises(InputError, match=r"neither an end-of-text token nor a newline"):
        load_tokenizer(f"hf:{tmp_path / 't.json'}")


@pytest.mark.parametrize("name", ["", "byte", "bytes:x", "sentencepiece", "hf:", "tiktoken:x"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown tokenizer .*bytes, sentencepiece:PATH, hf:PATH"):
        load_tokenizer(name)


@pytest.mark.parametrize("kind", ["sentencepiece", "hf"])
def test_a_missing_file_is_refused(kind: str, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            load_tokenizer(f"{kind}:{path}")


@pytest.mark.parametrize("kind", ["sentencepiece", "hf"])
@pytest.mark.parametrize("content", [b"", b"not a tokenizer", b"{}", bytes(range(256))])
def test_wrong_file_contents_are_refused(kind: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="is not a"):
        load_tokenizer(f"{kind}:{tmp_path / 'file'}")


def test_the_other_kinds_file_is_refused(sentencepiece_file: Path, hf_file: Path) -> None:
    with pytest.raises(InputError, match="not a SentencePiece model"):
        load_tokenizer(f"sentencepiece:{hf_file}")
    with pytest.raises(InputError, match="not a tokenizers file"):
        load_tokenizer(f"hf:{sentencepiece_file}")


def test_a_fingerprint_follows_the_file(hf_file: Path, tmp_path: Path) -> None:
    other = write_hf(tmp_path / "other.json", ["<eos>"])
    copy = tmp_path / "copy.json"
    copy.write_bytes(hf_file.read_bytes())
    prints = [load_tokenizer(f"hf:{path}").fingerprint for path in (hf_file, other, copy)]
    assert prints[0] == prints[2] != prints[1]


def test_a_corpus_is_trained_on_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join(DOCUMENTS))
    train_sentencepiece(load_corpus(f"text:{tmp_path / 't.txt'}"), 300, tmp_path / "one")
    train_sentencepiece(corpus_of(*DOCUMENTS), 300, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
