import math
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from scaling_jax import data
from scaling_jax.data import load_corpus, prepare
from scaling_jax.data.grammar import Grammar
from scaling_jax.data.power_law import Contexts
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


@pytest.mark.parametrize(("states", "order"), [(3, 2), (2, 5)])
def test_longer_contexts_have_the_stated_entropy(states: int, order: int) -> None:
    name = f"synthetic:markov?states={states}&order={order}&characters=1000000"
    p = transitions(states, 0, order)
    n, sums = 0, np.zeros(2)
    for document in load_corpus(name).documents():
        ids = np.frombuffer(str(document).encode(), np.uint8).astype(int) - ord("a")
        context = sum(
            ids[i : len(ids) - order + i] * states ** (order - 1 - i) for i in range(order)
        )
        surprise = -np.log(p[context, ids[order:]])
        n, sums = n + len(surprise), sums + np.array([surprise.sum(), (surprise**2).sum()])
    mean = sums[0] / n
    stderr = math.sqrt((sums[1] / n - mean**2) / n)
    assert entropy(states, 0, order) == pytest.approx(mean, abs=4 * stderr)


@pytest.mark.parametrize(("order", "seq_len"), [(1, 32), (2, 7), (2, 4100)])
def test_no_window_predicts_better_than_the_window_entropy(
    tmp_path: Path, order: int, seq_len: int
) -> None:
    """The loss, on real windows, of a predictor that knows the chain and counts the newlines."""
    states, name = 3, f"synthetic:markov?states=3&order={order}&characters=1000000&seed=2"
    tokens = prepare(name, "bytes", tmp_path, progress=False).train.astype(int)
    p = transitions(states, 2, order)
    share = stationary(p)
    joint = (share[:, None] * p).reshape((states,) * (order + 1))
    # P(letter | letters before it), for 0, 1, ..., `order` of them.
    given = [joint.sum(axis=tuple(range(n + 1, order + 1))) for n in range(order + 1)]
    given = [q / q.sum(axis=-1, keepdims=True) for q in given]
    losses = []
    for first in range(0, min(len(tokens) - seq_len, 150_000), seq_len):
        known: list[int] = []
        # Letters since the last newline in the window, or None before the first one.
        since, n_letters, total = None, 0, 0.0
        for place, token in enumerate(tokens[first : first + seq_len + 1]):
            is_newline = token == ord("\n")
            if place:
                hazard = 1 / (2001 - n_letters) if since is None else float(since == 2000)
                chance = hazard if is_newline else 1 - hazard
                if not is_newline:
                    shown = tuple(known[-order:])
                    chance *= given[len(shown)][(*shown, token - ord("a"))]
                total -= math.log(chance)
            if is_newline:
                known, since = [], 0
            else:
                known.append(token - ord("a"))
                n_letters, since = n_letters + 1, None if since is None else since + 1
        losses.append(total / seq_len)
    stderr = np.std(losses) / math.sqrt(len(losses))
    expected = data.entropy(name, "bytes", seq_len)
    assert expected == pytest.approx(np.mean(losses), abs=4 * stderr)


def stationary(p: np.ndarray) -> np.ndarray:
    """The shares of the contexts, by many steps of the chain."""
    share = np.full(len(p), 1 / len(p))
    for _ in range(500):
        share = (share[:, None] * p).reshape(p.shape[1], -1).sum(axis=0)
    return share


def test_what_is_known_of_other_languages() -> None:
    assert data.entropy("synthetic:markov", "sentencepiece:file", 128) is None
    assert data.entropy("embedded", "bytes", 128) is None
    assert data.entropy("synthetic:zipf", "bytes", 128) is None
    # A window of any other length begins within a sentence or a word.
    assert data.entropy("synthetic:grammar?depth=3", "tokens", 12) is None
    assert data.entropy("synthetic:zipf?order=2", "tokens", 128) is None
    assert data.entropy("synthetic:zipf?order=2", "tokens", 129) is not None


def test_a_grammar_has_the_entropy_of_its_trees() -> None:
    """The surprise of sentences whose trees are found from the bottom up."""
    language = Grammar.random(depth=3, symbols=5, rules=3, branches=2, seed=1)
    level = np.concatenate(list(language.documents(200_000))).reshape(-1, language.sentence)
    surprise = np.full(len(level), math.log(5))
    for sides, chances in zip(language.sides[::-1], language.chances[::-1], strict=True):
        rule_of = {tuple(sides[s, r]): (s, chances[s, r]) for s in range(5) for r in range(3)}
        assert len(rule_of) == 15
        parents = [[rule_of[a, b] for a, b in row.reshape(-1, 2).tolist()] for row in level]
        level = np.array([[symbol for symbol, _ in row] for row in parents])
        surprise -= np.log([[chance for _, chance in row] for row in parents]).sum(axis=1)
    assert level.shape[1] == 1
    expected = language.entropy * language.sentence
    stderr = surprise.std() / math.sqrt(len(surprise))
    assert surprise.mean() == pytest.approx(expected, abs=4 * stderr)
    corpus = "synthetic:grammar?depth=3&symbols=5&rules=3&seed=1"
    assert data.entropy(corpus, "tokens", 64) == language.entropy


def test_equal_rules_have_the_entropy_of_their_number() -> None:
    language = Grammar.random(depth=4, symbols=4, rules=2, branches=2, seed=0)
    even = Grammar(language.sides, tuple(np.full((4, 2), 0.5) for _ in range(4)), 0)
    # The first symbol, and one of two rules at each of the 15 nodes of 16 tokens.
    assert even.entropy == pytest.approx((math.log(4) + 15 * math.log(2)) / 16, rel=1e-12)


def test_contexts_have_zipfs_frequencies_and_the_stated_entropy() -> None:
    language = Contexts.random(order=2, symbols=6, seed=4, exponent=0.5)
    words = np.concatenate(list(language.documents(300_000))).reshape(-1, 3)
    rank = {tuple(word): k for k, word in enumerate(language.word_KxO.tolist())}
    context = np.array([rank[tuple(word)] for word in words[:, :2].tolist()])
    counts = np.bincount(context, minlength=36)
    expected = np.arange(1, 37) ** -1.5
    expected *= len(words) / expected.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 80  # chi-squared, 35 degrees of freedom
    chance = language.answer_KxS[context, words[:, 2] - 12]
    surprise = -np.log(language.chance_K[context]) - np.log(chance)
    stderr = surprise.std() / math.sqrt(len(surprise))
    assert surprise.mean() == pytest.approx(3 * language.entropy, abs=4 * stderr)


def loss_knowing(language: Contexts, n: int) -> float:
    """The loss in nats per token with the answers of the `n` most frequent contexts known.

    After every other context the model expects the answers with their frequencies after all such
    contexts together; it knows the frequencies of the words.
    """
    rest_K = language.chance_K * (np.arange(len(language.chance_K)) >= n)
    if not rest_K.any():
        return language.entropy
    together_S = rest_K @ language.answer_KxS / rest_K.sum()
    unknown = -rest_K.sum() * (together_S @ np.log(together_S))
    p = language.answer_KxS
    answers_K = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    return language.entropy + float(unknown - rest_K @ answers_K) / (language.word_KxO.shape[1] + 1)


def test_the_loss_falls_as_a_power_of_the_contexts_known() -> None:
    language = Contexts.random(order=4, symbols=16, seed=0, exponent=0.5)
    known = np.array([10, 100, 1000])
    excess = [loss_knowing(language, n) - language.entropy for n in known]
    # The tail of the frequencies is cut at 65,536 contexts.
    tail = [known_n**-0.5 - 65536**-0.5 for known_n in known]
    assert np.diff(np.log(excess)) == pytest.approx(np.diff(np.log(tail)), abs=0.15)
    assert loss_knowing(language, 65536) == language.entropy


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("grammar?depth=13", "must be at most 4,096"),
        ("grammar?symbols=4&rules=5", "symbols times rules must be at most 16"),
        ("grammar?rules=0", "rules '0' must be a whole number of at least 1"),
        ("grammar?length=3", "unknown option 'length'"),
        ("zipf?exponent=0", "exponent must be a number above 0"),
        ("zipf?exponent=nan", "exponent must be a number above 0"),
        ("zipf?order=6", "must be at most 1,048,576"),
        ("zipf?symbols=1", "symbols '1' must be a whole number of at least 2"),
        ("markov?states=10&order=5", "at most 10,000 contexts"),
    ],
)
def test_languages_out_of_range_are_refused(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_corpus(f"synthetic:{argument}")
