"""Cached keys and values give the tokens that a forward pass over the whole context gives."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import scaling_jax as sj
from scaling_jax.config import Shape
from scaling_jax.errors import InputError
from scaling_jax.model import Transformer
from scaling_jax.trained.generation import cached_logits, continued, empty_cache

DIMS = dict(n_layers=2, d_model=16, n_heads=4, d_ff=32, vocab_size=64, seq_len=16)
VARIANTS = {
    "rotary": {},
    "learned": dict(positions="learned"),
    "grouped": dict(n_kv_heads=2, activation="swiglu", tied_embedding=False, qk_norm=True),
    "experts": dict(n_experts=4, experts_per_token=2),
}


def model_of(**changes):
    return Transformer(Shape(**(DIMS | changes)), rngs=nnx.Rngs(params=jax.random.key(3)))


@pytest.mark.parametrize(
    ("variant", "temperature"), [("rotary", 0.0), *((variant, 1.0) for variant in VARIANTS)]
)
def test_tokens_are_the_same_without_the_cache(variant, temperature):
    model = model_of(**VARIANTS[variant])
    found = [
        continued(model, [5, 9, 2], 25, temperature, 7, 50, cached) for cached in (True, False)
    ]
    assert found[0] == found[1]
    assert found[0][:3] == [5, 9, 2]
    assert len(found[0]) == 28
    assert max(found[0]) < 50


@pytest.mark.parametrize("variant", ["rotary", "learned", "grouped"])
def test_cached_logits_are_those_of_the_whole_sequence(variant):
    model = model_of(**VARIANTS[variant])
    tokens_T = np.random.default_rng(0).integers(0, 64, 16).astype(np.int32)
    whole_TxV, cache = model(tokens_T[None])[0], empty_cache(model)
    for t, token in enumerate(tokens_T):
        logits_V, cache = cached_logits(model, jnp.asarray(token), jnp.int32(t), cache)
        np.testing.assert_allclose(logits_V, whole_TxV[t], atol=2e-5)


def test_samples_have_the_probabilities_of_the_softmax():
    model = model_of()
    drawn = [continued(model, [1], 1, 2.0, seed, 64)[1] for seed in range(400)]
    logits = np.asarray(model(np.array([[1]], np.int32))[0, 0], np.float64) / 2
    p = np.exp(logits - logits.max())
    p /= p.sum()
    counts = np.bincount(drawn, minlength=64)
    chi2 = ((counts - 400 * p) ** 2 / (400 * p)).sum()
    assert chi2 < 120  # the 99.99th percentile of chi-squared with 63 degrees of freedom is 112


def test_generated_text_begins_with_the_prompt_and_follows_from_the_seed(directory):
    run = sj.load_run(directory)
    texts = [run.generate("the law", 40, 1.0, seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("the law")
    assert len(run.generate("", 5, 0.0).encode("utf-8", "replace")) >= 5
    for wrong in (dict(n_tokens=0), dict(temperature=-1.0), dict(temperature=float("nan"))):
        with pytest.raises(InputError):
            run.generate("the", **wrong)
    other = replace(run, config=replace(run.config, shape=replace(run.config.shape, vocab_size=99)))
    with pytest.raises(InputError, match="has 256 ids, but the model has 99"):
        other.generate("the")
