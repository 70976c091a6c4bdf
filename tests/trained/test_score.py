"""Scores on tasks are those of an independent forward pass, whatever a request stands beside."""

import json
import math

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.errors import InputError

pytest.importorskip("safetensors")
from numpy_layouts import forward

LONG = "the law of the loss and a model in the batch of a large and a small step " * 2
CHOICES = [
    {"context": "the law of", "continuations": [" model", " a", " zürich, small"], "gold": 1},
    {"context": LONG, "continuations": [" loss", " xq"], "gold": 0},
    {"context": ["a deep", "a wide"], "continuations": [" in", " in"], "gold": 1},
    # The space belongs to the answer's first token.
    {"context": "in the ", "continuations": ["step", "stepz"], "gold": 1},
    {"context": "", "continuations": ["the", "law of loss"], "gold": 0},
]
LAST_WORDS = [{"context": "of in", "continuations": [" x"], "gold": 0}]


@pytest.fixture(scope="module")
def run(directory):
    return sj.load_run(directory)


@pytest.fixture(scope="module")
def by_hand(run, tmp_path_factory):
    """A function from a pair to log-likelihood and greediness, in NumPy and float64."""
    exported = run.export(tmp_path_factory.mktemp("exported") / "model")

    def likelihood(context, continuation):
        ids = list((context or "\n").encode() + continuation.encode())[-33:]
        n = len(continuation.encode()) + len(context) - len(context.rstrip())
        logits_TxV = forward(exported, np.array(ids[:-1]))[-n:]
        top_T = logits_TxV.max(axis=1)
        log_p = logits_TxV - (top_T + np.log(np.exp(logits_TxV - top_T[:, None]).sum(1)))[:, None]
        targets = ids[-n:]
        chosen = log_p[np.arange(n), targets]
        return chosen.sum(), bool((logits_TxV.argmax(1) == targets).all())

    return likelihood


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def pairs_of(row):
    contexts = row["context"]
    if isinstance(contexts, str):
        contexts = [contexts] * len(row["continuations"])
    return list(zip(contexts, row["continuations"], strict=True))


def test_likelihoods_are_those_of_numpy(run, by_hand):
    pairs = [pair for row in CHOICES for pair in pairs_of(row)]
    likeliest = run.generate("the law of", 6, 0.0).removeprefix("the law of")
    pairs.append(("the law of", likeliest))
    found, expected = run.log_likelihoods(pairs), [by_hand(*pair) for pair in pairs]
    np.testing.assert_allclose(found.log_likelihood_N, [ll for ll, _ in expected], atol=1e-4)
    assert list(found.is_greedy_N) == [greedy for _, greedy in expected]
    assert found.is_greedy_N[-1]
    alone = [run.log_likelihoods([pair]).log_likelihood_N[0] for pair in pairs[:2]]
    assert alone == list(found.log_likelihood_N[:2])


def test_scores_of_choices_are_those_of_the_conventions(run, by_hand, tmp_path):
    score = run.score(written(tmp_path / "choices.jsonl", CHOICES))
    rows = []
    for row in CHOICES:
        texts, gold = row["continuations"], row["gold"]
        ll = np.array([by_hand(*pair)[0] for pair in pairs_of(row)])
        without_space = [text[1:] if text[0] == " " else text for text in texts]
        rows.append(
            {
                "acc": np.argmax(ll) == gold,
                "acc_norm": np.argmax(ll / [len(text) for text in without_space]) == gold,
                "acc_bytes": np.argmax(ll / [len(text.encode()) for text in without_space]) == gold,
                "acc_token": np.argmax(ll / [len(c.encode()) for c in texts]) == gold,
                "soft": math.exp(ll[gold]) / np.exp(ll).sum(),
                "bits_per_byte": -ll[gold] / math.log(2) / len(texts[gold].encode()),
                "nats": -ll[gold],
            }
        )
    for name in rows[0]:
        values = np.array([row[name] for row in rows], np.float64)
        assert getattr(score, name).value == pytest.approx(values.mean(), abs=1e-4), name
        stderr = values.std(ddof=1) / math.sqrt(len(rows))
        assert getattr(score, name).stderr == pytest.approx(stderr, abs=1e-4), name
    assert (score.questions, score.cut) == (5, 2)
    assert score.chance == pytest.approx((1 / 3 + 4 / 2) / 5)


def test_last_words_are_right_if_they_are_the_likeliest(run, by_hand, tmp_path):
    letters = (run.generate(letter, 1, 0.0) for letter in "tlhawosmbcdefginpru")
    first, likeliest = next(text for text in letters if text.strip() == text)
    right = {"context": first, "continuations": [likeliest], "gold": 0}
    rows = [right, *LAST_WORDS]
    score = run.score(written(tmp_path / "words.jsonl", rows))
    assert score.acc.value == 0.5
    assert score.nats.value == pytest.approx(
        -np.mean([by_hand(*pairs_of(row)[0])[0] for row in rows]), abs=1e-4
    )
    assert (score.chance, score.acc_norm, score.soft) == (None, None, None)


def test_an_answer_longer_than_the_context_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"line 1: the continuation 'xxx.*has 33 tokens"):
        run.score(
            written(tmp_path / "long.jsonl", [{**LAST_WORDS[0], "continuations": ["x" * 33]}])
        )
    with pytest.raises(InputError, match="pair 0: the continuation '' has no token"):
        run.log_likelihoods([("a", "")])
