"""What is said of the losses of held-out sequences."""

import math

import numpy as np
import pytest

from scaling_jax.train.evaluate import held_out_loss, smoothed_loss


def test_the_standard_error_is_over_sequences():
    found = held_out_loss(np.array([[1.0, 2.0], [3.0, 6.0]]), bytes_per_token=4.0)
    assert found.loss == 3.0
    # The sum of squares about the mean is 14, over 3 degrees of freedom and 4 sequences.
    assert found.stderr == pytest.approx(math.sqrt(14 / 3 / 4))
    assert found.bits_per_byte == pytest.approx(3.0 / math.log(2) / 4)


def test_a_single_sequence_has_no_standard_error():
    assert held_out_loss(np.array([[2.0]]), bytes_per_token=1.0).stderr is None


def test_the_training_loss_is_that_of_the_last_twentieth_or_ten_steps():
    assert smoothed_loss([9.0] * 5 + [1.0] * 10) == 1.0
    assert smoothed_loss([9.0] * 380 + [2.0, 4.0] * 10) == 3.0
