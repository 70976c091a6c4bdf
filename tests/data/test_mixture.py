"""A mixture holds its corpora in the shares that its name gives."""

from pathlib import Path

import pytest

from scaling_jax.data import load_corpus, prepare
from scaling_jax.errors import InputError


@pytest.fixture
def parts(tmp_path: Path) -> list[str]:
    """Two corpora of documents of different lengths, whose letters tell them apart."""
    for letter, n_documents, length in (("a", 3000, 50), ("b", 400, 120)):
        documents = (f"{letter * length}{i:04}" for i in range(n_documents))
        (tmp_path / f"{letter}.txt").write_text("\n\n".join(documents))
    return [f"text:{tmp_path}/a.txt", f"text:{tmp_path}/b.txt"]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_every_part_of_the_text_has_the_shares(parts: list[str], share: float) -> None:
    a, b = parts
    documents = list(load_corpus(f"mixture:{a}*{share},{b}*{1 - share}").documents())
    of_a = of_b = 0
    for document in documents:
        of_a += (len(document) + 1) * document.startswith("a")
        of_b += (len(document) + 1) * document.startswith("b")
        # To within one document.
        assert abs(of_a - share * (of_a + of_b)) <= 126
    # Each document comes once and in order, until one of the corpora has ended.
    for letter, name in zip("ab", parts, strict=True):
        taken = [document for document in documents if document.startswith(letter)]
        assert taken == list(load_corpus(name).documents())[: len(taken)]
    whole = {
        letter: len(list(load_corpus(n).documents())) for letter, n in zip("ab", parts, strict=True)
    }
    counts = {letter: sum(d.startswith(letter) for d in documents) for letter in "ab"}
    assert any(counts[letter] == whole[letter] for letter in "ab")


def test_weights_in_another_unit_are_the_same_text(parts: list[str]) -> None:
    a, b = parts
    one, same, other = (
        load_corpus(f"mixture:{a}*{x},{b}*{y}").fingerprint
        for x, y in ((1, 3), (0.25, 0.75), (0.5, 0.5))
    )
    assert one == same != other


def test_a_document_of_a_mixture_is_held_out_where_it_is_in_its_corpus(
    parts: list[str], tmp_path: Path
) -> None:
    a, b = parts
    mixed = prepare(f"mixture:{a}*1,{b}*1", "bytes", tmp_path / "cache", progress=False)
    alone = prepare(a, "bytes", tmp_path / "cache", progress=False)
    held_out = bytes(alone.held_out.astype("uint8")).split(b"\n")
    trained = set(bytes(mixed.train.astype("uint8")).split(b"\n"))
    assert not trained & {text for text in held_out if text}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("embedded*1", "has one corpus; write it as in mixture:embedded"),
        ("embedded,stdlib*1", "'embedded' has no positive weight"),
        ("embedded*0,stdlib*1", r"'embedded\*0' has no positive weight"),
        ("embedded*nan,stdlib*1", "has no positive weight"),
        ("embedded*1,embedded*2", "'embedded' is given twice"),
        ("embedded*1,nothing*2", "unknown corpus 'nothing'"),
        ("embedded*1,mixture:stdlib*2", "'mixture:stdlib' is a mixture"),
    ],
)
def test_other_mixtures_are_refused(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_corpus(f"mixture:{argument}")
