"""The text of a run: limited in what it trains on, never in what it is measured on."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import small_run

from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, FixedModels, Recipe, Study, Sweep, vary
from scaling_jax.train import load_inputs


def limited(text, n):
    config = small_run(text, steps=40)
    return replace(config, data=replace(config.data, unique_tokens=n))


def test_a_limit_changes_the_training_text_alone(text, cache):
    whole, few = (load_inputs(limited(text, n), cache, False) for n in (None, 1000))
    assert few.batches.unique_tokens(40) == 31 * 32
    assert whole.batches.unique_tokens(40) == 40 * 256
    np.testing.assert_array_equal(
        few.held_out["held_out"].tokens_NxT1, whole.held_out["held_out"].tokens_NxT1
    )
    assert few.texts == whole.texts


def test_a_limit_above_the_text_is_refused(text, cache):
    with pytest.raises(InputError, match="unique_tokens 1,000,000,000 is more than the"):
        load_inputs(limited(text, 10**9), cache, False)


def test_limits_can_be_swept(text):
    recipe = Recipe(
        data=small_run(text).data,
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(8),
    )
    design = Sweep(FixedModels((5e3,), (10.0,)), vary("data.unique_tokens", 5000, 10_000))
    planned = Study("limits", recipe, design).plan()
    assert {run.config.data.unique_tokens for run in planned} == {5000, 10_000}
