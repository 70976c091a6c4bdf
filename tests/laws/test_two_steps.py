"""Accuracy on a task through a loss, with the errors of both steps, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError

CHANCE, QUESTIONS = 0.25, 2000


def bits_of(params, tokens):
    return 0.6 + 40 / params**0.25 + 60 / tokens**0.25


def accuracy_of(bits):
    return CHANCE + (1 - CHANCE) / (1 + np.exp(5 * (bits - 1.0)))


@pytest.fixture(scope="module")
def table():
    """Runs whose accuracy is a sigmoid of bits per byte, with the noise of runs and questions."""
    rng = np.random.default_rng(4)
    n, ratio = (
        grid.ravel()
        for grid in np.meshgrid(np.geomspace(1e6, 1e8, 6), [5, 10, 20, 40], indexing="ij")
    )
    frame = pd.DataFrame({"params": n, "tokens": n * ratio})
    bits = bits_of(frame.params, frame.tokens) * np.exp(0.004 * rng.normal(size=len(frame)))
    frame["loss"], frame["bits_per_byte_piqa"] = 0.8 * bits, bits
    frame["acc_piqa"] = rng.binomial(QUESTIONS, accuracy_of(bits)) / QUESTIONS
    return frame.assign(chance_piqa=CHANCE, questions_piqa=QUESTIONS)


def test_the_truth_ten_times_beyond_lies_in_the_interval(table):
    found = laws.predict_task(table, "piqa", law="chinchilla", params=4e8, tokens=8e9)
    truth = accuracy_of(bits_of(4e8, 8e9))
    assert found.through == "bits_per_byte_piqa"
    (low, high), (law_low, law_high) = found.made.interval, found.made.law_interval
    assert low < law_low < truth < law_high < high
    # The interval holds what the first step does not know: bits per byte at its ends move it.
    ends = found.between.law_interval
    assert law_high - law_low > 0.8 * abs(accuracy_of(ends[0]) - accuracy_of(ends[1]))
    assert "bits_per_byte_piqa" in found.made.outside
    assert "acc_piqa" in str(found)
    assert "sigmoid is extrapolated" in str(found)


def test_the_loss_stands_in_where_the_task_has_no_bits_per_byte(table):
    found = laws.predict_task(
        table.drop(columns="bits_per_byte_piqa"), "acc_piqa", law="chinchilla", flops=1e19
    )
    assert found.through == "loss"
    assert CHANCE < found.made.value < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(acc_piqa=CHANCE + 0.01 * np.tile([0, 1], 12)), "at chance in every run: the best"),
        (dict(acc_piqa=np.linspace(0.9, 0.3, 24)), "does not rise as 'bits_per_byte_piqa' falls"),
        (dict(chance_piqa=[0.5] + [0.25] * 23), "scored on different questions"),
        (dict(acc_piqa=[0.5] * 3 + [np.nan] * 21), "3 runs have 'acc_piqa' and a loss, but"),
    ],
)
def test_what_the_runs_do_not_show_is_refused(table, change, message):
    with pytest.raises(InputError, match=message):
        laws.predict_task(table.assign(**change), "piqa", flops=1e19)


def test_a_task_that_is_not_there_is_refused_with_those_that_are(table):
    with pytest.raises(InputError, match=r"no column 'acc_pica'; did you mean 'acc_piqa'\?"):
        laws.predict_task(table, "pica", flops=1e19)
