"""Measurement of the gradient noise scale: gradients of small batches at fixed parameters."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from scaling_jax.config import RunConfig, program_of
from scaling_jax.data import Batches
from scaling_jax.execution import DEFAULT, Execution, fewest_loss_chunks
from scaling_jax.runs.noise_scale import GradientNoise, gradient_noise
from scaling_jax.train import mesh as layout
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.programs import abstract_state
from scaling_jax.train.step import make_gradient
from scaling_jax.train.traced import resolved_on

Gradient = Callable[[Any, jax.Array], tuple[jax.Array, Any]]


def make_moments(gradient: Gradient) -> Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]:
    """A function from (params, `tokens_KxBxT1`) to what `gradient_noise` needs of K gradients.

    These are their squared norms `norms_K`, and `dots_K`, their inner products with their mean.
    Each gradient is computed twice, because K of them would not fit into the memory of a device.
    """

    def moments(params: Any, tokens_KxBxT1: jax.Array) -> tuple[jax.Array, jax.Array]:
        def add(total: Any, tokens_BxT1: jax.Array) -> tuple[Any, jax.Array]:
            _, grads = gradient(params, tokens_BxT1)
            return jax.tree.map(jnp.add, total, grads), optax.tree.vdot(grads, grads)

        def project(mean: Any, tokens_BxT1: jax.Array) -> tuple[Any, jax.Array]:
            return mean, optax.tree.vdot(gradient(params, tokens_BxT1)[1], mean)

        zeros = jax.tree.map(jnp.zeros_like, params)
        total, norms_K = jax.lax.scan(add, zeros, tokens_KxBxT1)
        mean = jax.tree.map(lambda leaf: leaf / len(tokens_KxBxT1), total)
        return norms_K, jax.lax.scan(project, mean, tokens_KxBxT1)[1]

    return moments


@dataclass(frozen=True)
class NoiseMeasurement:
    """The compiled measurement of runs that share a program."""

    program: Any
    sequences: int
    small: int
    mesh: Mesh

    def __call__(self, params: Any, batches: Batches, step: int) -> GradientNoise:
        """The noise of the gradient at `params`, on text that a run reads after `step` steps."""
        tokens_NxT1 = batches.after(step, self.sequences)
        tokens_KxBxT1 = tokens_NxT1.reshape(-1, self.small, tokens_NxT1.shape[1])
        rows = layout.local_rows(self.mesh, self.small)
        tokens = layout.put_batches(tokens_KxBxT1[:, rows], self.mesh, self.small)
        norms_K, dots_K = map(np.asarray, self.program(params, tokens))
        return gradient_noise(norms_K, dots_K, self.small)


def noise_measurement(
    config: RunConfig, mesh: Mesh, execution: Execution = DEFAULT
) -> NoiseMeasurement | None:
    """The measurement of runs like `config` on `mesh`; None for runs that measure no noise."""
    noise = config.noise_scale
    if noise is None:
        return None
    program = _compiled(program_of(config), mesh, execution)
    return NoiseMeasurement(program, noise.sequences, noise.small, mesh)


@cache
def _compiled(config: RunConfig, mesh: Mesh, execution: Execution) -> Any:
    noise, platform = config.noise_scale, mesh.devices.flat[0].platform
    assert noise is not None
    execution = replace(
        resolved_on(mesh, execution, config),
        accumulate=1,
        loss_chunks=fewest_loss_chunks(config.shape, noise.small, platform, mesh.size),
    )
    spec = ModelSpec(
        config.shape, config.optimizer, config.precision, config.parameterization, execution
    )
    moments = make_moments(make_gradient(spec))

    def in_precision(params: Any, tokens_KxBxT1: jax.Array) -> tuple[jax.Array, jax.Array]:
        with spec.products():
            return moments(params, tokens_KxBxT1)

    tokens = jax.ShapeDtypeStruct(
        (noise.n_gradients, noise.small, config.shape.seq_len + 1),
        jnp.int32,
        sharding=layout.batch_sharding(mesh),
    )
    measure = jax.jit(in_precision, out_shardings=layout.replicated(mesh))
    with layout.layout_rules(mesh):
        lowered = measure.lower(abstract_state(config, mesh)["params"], tokens)
    return lowered.compile()
