"""Held-out text in batches."""

import jax
import numpy as np
from helpers import small_run
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.train import train_run
from scaling_jax.train.evaluate import (
    evaluation_batch,
    padded_batches,
)
from scaling_jax.train.mesh import make_mesh
from scaling_jax.train.programs import evaluation, programs

ONE_DEVICE = make_mesh(devices=jax.devices()[:1])


def test_windows_fill_whole_batches_and_the_copies_are_last():
    tokens_NxT1 = np.arange(15).reshape(5, 3)
    padded = padded_batches(tokens_NxT1, 2)
    assert padded.shape == (3, 2, 3)
    np.testing.assert_array_equal(padded.reshape(-1, 3)[:5], tokens_NxT1)
    np.testing.assert_array_equal(padded[-1, -1], tokens_NxT1[-1])


@given(st.integers(1, 3000), st.integers(1, 20_000), st.sampled_from([1, 2, 4, 256]))
def test_each_device_evaluates_at_least_one_sequence_and_the_last_batch_is_not_all_copies(
    n_windows, seq_len, n_shares
):
    batch_size = evaluation_batch(n_windows, seq_len, n_shares)
    assert batch_size % n_shares == 0
    assert batch_size >= n_shares
    assert batch_size - n_shares < n_windows


def test_a_program_for_few_windows_gives_the_losses_of_the_one_for_many(text):
    config = small_run(text, shape={"n_layers": 1})
    compiled = programs(config, ONE_DEVICE, 300, n_evaluated=1)
    many, few = compiled.evaluate, compiled.evaluate.rest
    assert (many.batch_size, few.batch_size) == (256, 8)
    params = compiled.init(jax.random.key(0))["params"]
    tokens_NxT1 = np.random.default_rng(0).integers(0, 256, (300, 33), np.int32)
    losses_N = evaluation(config, ONE_DEVICE, 300)(params, tokens_NxT1)
    for n in (3, 8, 249, 255, 256, 259, 300):
        np.testing.assert_allclose(many(params, tokens_NxT1[:n]), losses_N[:n], rtol=1e-6)


def test_the_held_out_loss_of_the_same_parameters_is_the_same_for_every_batch_size(
    text, cache, tmp_path
):
    # A learning rate below half a unit in the last place of every parameter changes none.
    frozen = {"peak_lr": 1e-30, "weight_decay": 0.0}
    losses = set()
    for batch_size in (1, 3, 8, 24):
        config = small_run(text, steps=6, batch_size=batch_size, optimizer=frozen)
        result = train_run(
            config, tmp_path / str(batch_size), cache_dir=cache, mesh=ONE_DEVICE, progress=False
        )
        losses.add((result.loss, result.loss_stderr))
    assert len(losses) == 1
