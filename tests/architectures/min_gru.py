"""A study of a user's own module, a layer of which is a gated linear recurrence."""

import jax
import jax.numpy as jnp
from flax import nnx

import scaling_jax as sj
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR

WIDENING = 2


class Layer(nnx.Module):
    def __init__(self, d, *, rngs):
        self.norm = nnx.RMSNorm(d, rngs=rngs)
        self.gates = nnx.Linear(d, WIDENING * d, use_bias=False, rngs=rngs)
        self.mix = nnx.Linear(d, d, use_bias=False, rngs=rngs)

    def __call__(self, x_BxTxD):
        gate_BxTxD, value_BxTxD = jnp.split(self.gates(self.norm(x_BxTxD)), WIDENING, axis=-1)
        enter_BxTxD = nnx.sigmoid(gate_BxTxD)
        entering = (1 - enter_BxTxD, enter_BxTxD * value_BxTxD)
        return x_BxTxD + self.mix(jax.lax.associative_scan(joined, entering, axis=1)[1])


def joined(a, b):
    return a[0] * b[0], a[1] * b[0] + b[1]


class MinGRU(nnx.Module):
    def __init__(self, shape, *, rngs):
        self.embedding = nnx.Embed(shape.vocab_size, shape.d_model, rngs=rngs)
        self.layers = nnx.List([Layer(shape.d_model, rngs=rngs) for _ in range(shape.n_layers)])
        self.norm = nnx.RMSNorm(shape.d_model, rngs=rngs)

    def __call__(self, tokens_BxT):
        x_BxTxD = self.embedding(tokens_BxT)
        for layer in self.layers:
            x_BxTxD = layer(x_BxTxD)
        return self.embedding.attend(self.norm(x_BxTxD))


recipe = sj.Recipe(
    data=DataConfig("synthetic:markov?characters=500000"),
    family=Family(256, 32, min_layers=1, architecture=sj.own_module(MinGRU)),
    peak_lr=ConstantLR(1e-2),
    batch_size=ConstantBatch(8),
    eval_tokens=2048,
)
study = sj.Study("min-gru", recipe, sj.FixedModels((3e3, 5e3, 8e3), (1, 2, 4)))
