import math
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from scaling_jax.data import load_corpus, prepare
from scaling_jax.data.synthetic import entropy, transitions
from scaling_jax.errors import InputError


def exact_stationary(p: np.ndarray) -> list[Fraction]:
    """The stationary distribution by elimination without rounding, rows made to sum to one."""
    n = len(p)
    rows = [[Fraction(x) for x in row] for row in p.tolist()]
    rows = [[x / sum(row) for x in row] for row in rows]
    # pi (P - I) = 0 with the last equation replaced by sum(pi) = 1.
    system = [[rows[j][i] - (i == j) for j in range(n)] + [Fraction(0)] for i in range(n)]
    system[-1] = [Fraction(1)] * (n + 1)
    for column in range(n):
        pivot = next(r for r in range(column, n) if system[r][column])
        system[column], system[pivot] = system[pivot], system[column]
        for r in range(n):
            if r != column and system[r][column]:
                factor = system[r][column] / system[column][column]
                system[r] = [a - factor * b for a, b in zip(system[r], system[column], strict=True)]
    return [system[i][n] / system[i][i] for i in range(n)]


@pytest.mark.parametrize(("states", "seed"), [(2, 0), (3, 5), (8, 0)])
def test_the_stated_entropy_is_that_of_the_chain(states: int, seed: int) -> None:
    p = transitions(states, seed)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    expected = sum(
        float(weight) * -math.fsum(x * math.log(x) for x in row)
        for weight, row in zip(exact_stationary(p), p.tolist(), strict=True)
    )
    assert entropy(states, seed) == pytest.approx(expected, rel=1e-9)


def test_two_letters_by_the_textbook_formula() -> None:
    (stay, leave), (back, remain) = transitions(2, 3).tolist()
    binary = [-(a * math.log(a) + b * math.log(b)) for a, b in ((stay, leave), (back, remain))]
    expected = (back * binary[0] + leave * binary[1]) / (leave + back)
    assert entropy(2, 3) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("states", "seed"), [(4, 1), (8, 0)])
def test_a_long_text_has_the_stated_entropy(states: int, seed: int) -> None:
    name = f"synthetic:markov?states={states}&characters=2000000&seed={seed}"
    pairs: Counter[str] = Counter()
    for document in load_corpus(name).documents():
        pairs.update(map(str.__add__, document, document[1:]))
    first: Counter[str] = Counter()
    for pair, count in pairs.items():
        first[pair[0]] += count
    total = pairs.total()
    measured = -sum(n * math.log(n / first[pair[0]]) for pair, n in pairs.items()) / total
    # log p of a transition has a standard deviation of about one nat.
    assert measured == pytest.approx(entropy(states, seed), abs=5 / math.sqrt(total))


def test_letters_start_as_they_go_on() -> None:
    documents = list(load_corpus("synthetic:markov?states=4&characters=8000000").documents())
    starts, ends = (Counter(d[i] for d in documents) for i in (0, -1))
    p = [float(x) for x in exact_stationary(transitions(4, 0))]
    for letter, share in zip("abcd", p, strict=True):
        deviation = math.sqrt(len(documents) * share * (1 - share))
        for counted in (starts, ends):
            assert abs(counted[letter] - len(documents) * share) < 5 * deviation


@pytest.mark.parametrize("characters", [1, 1999, 2000, 2001, 12_345])
def test_a_text_has_the_length_asked_for(characters: int) -> None:
    documents = list(load_corpus(f"synthetic:markov?characters={characters}").documents())
    assert sum(map(len, documents)) == characters
    assert max(map(len, documents)) <= 2000


def test_the_seed_and_the_letters_decide_the_text() -> None:
    def text(query: str) -> tuple[str, str]:
        corpus = load_corpus(f"synthetic:markov?characters=1000{query}")
        return corpus.fingerprint, "".join(corpus.documents())

    assert text("") == text("&states=8&seed=0")
    for one, other in zip(text(""), text("&seed=1"), strict=True):
        assert one != other
    assert set(text("&states=3")[1]) == set("abc")


@pytest.mark.parametrize(
    "argument",
    ["other", "markov?states=1", "markov?states=27", "markov?characters=0", "markov?seed=-1"],
)
def test_numbers_out_of_range_are_refused(argument: str) -> None:
    with pytest.raises(InputError, match="use synthetic:markov"):
        load_corpus(f"synthetic:{argument}")
    with pytest.raises(InputError, match="whole numbers"):
        load_corpus("synthetic:markov?states=many")


def test_it_can_be_prepared(tmp_path: Path) -> None:
    cache = prepare("synthetic:markov?characters=200000", "bytes", tmp_path, progress=False)
    assert set(np.unique(cache.train)) == {10, *range(ord("a"), ord("i"))}
