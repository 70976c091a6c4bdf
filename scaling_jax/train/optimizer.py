"""Optimizers from Optax without a learning rate, by which the training step multiplies updates.

Without the learning rate, runs of different lengths share a compiled program. Each optimizer first
clips the gradient's global norm. Except `adam`, each ends with decoupled weight decay: of hidden
matrices and tables, which can have another rate, and of normalization gains and biases if they have
a rate.

- `adamw`: Loshchilov & Hutter 2019 (1711.05101). `adam` is the same without decay.
- `adafactor`: Shazeer & Stern 2018 (1804.04235) as Zhai et al. 2022 (2106.04560) use it, so that
  Adam's learning rates suit it: no scaling by the parameters' size, `beta1` as the momentum (0
  means no momentum), `beta2` as the largest decay rate of the second moment. Second moments are
  factored for matrices of at least 128 rows and columns; all heads of a layer are one matrix.
- `muon`: Jordan 2024; for hidden matrices the momentum orthogonalized by five Newton–Schulz steps,
  for tables, gains and routers Adam. Updates have the root mean square of Adam's, 0.2 (Liu et al.
  2025, 2502.16982), so that Adam's learning rates suit it.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from scaling_jax.architectures.own import TABLES
from scaling_jax.config import OptimizerConfig, Shape
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.scales import scales_of

MUON_MOMENTUM = 0.95
MUON_RMS = 0.2

# Input and output axes of every hidden matrix, counted from the end. Its other axes, such as
# layers, experts, query/key/value and gate/value, index separate matrices. Adam trains parameters
# that are not listed.
_MATRICES = {
    "qkv": MuonDimensionNumbers((-4,), (-3, -1)),
    "out": MuonDimensionNumbers((-4, -3, -2), (-1,)),
    "up": MuonDimensionNumbers((-3,), (-1,)),
    "down": MuonDimensionNumbers((-2,), (-1,)),
    "expert_up": MuonDimensionNumbers((-3,), (-1,)),
    "expert_down": MuonDimensionNumbers((-2,), (-1,)),
    "gates_input": MuonDimensionNumbers((-3,), (-1,)),
    "gates_state": MuonDimensionNumbers((-3,), (-1,)),
}
_ROUTER = "router"


def make_optimizer(
    config: OptimizerConfig, shape: Shape, parameterization: Parameterization = STANDARD
) -> optax.GradientTransformation:
    """The optimizer of a run; the caller multiplies its updates by the learning rate."""
    scales = scales_of(parameterization, shape)
    steps = [optax.clip_by_global_norm(config.clip_norm), _DIRECTIONS[config.name](config)]
    if parameterization.rule != STANDARD.rule:
        # Adam with epsilon / c has the same updates as Adam on c times the gradient.
        inside, outside = (1 / scales.epsilon(in_block=in_block) for in_block in (True, False))
        steps.insert(1, _scale_each(lambda path, _: inside if _in_block(path) else outside))
        steps.append(_scale_matrices(scales.hidden_lr(config.name), scales.router_lr))
    return optax.chain(*steps, *_decays(config))


def _decays(config: OptimizerConfig) -> list[optax.GradientTransformation]:
    """The weight decay of each group of parameters that has a rate of its own."""
    everywhere, of_gains = config.weight_decay, config.weight_decay_gains
    of_tables = config.weight_decay_tables
    groups: list[tuple[float, Callable[[str], bool]]] = [(everywhere, lambda n: not _is_gain(n))]
    if of_tables is not None:
        groups = [
            (everywhere, lambda name: not _is_gain(name) and name not in TABLES),
            (of_tables, TABLES.__contains__),
        ]
    if of_gains:
        groups.append((of_gains, _is_gain))
    return [optax.add_decayed_weights(rate, mask=_by_name(within)) for rate, within in groups]


def scale_matrices(params: Any, factor: float) -> Any:
    """`params` with every matrix and table multiplied by `factor`, and the gains as they are."""
    return jax.tree_util.tree_map_with_path(
        lambda path, p: p if _is_gain(_name(path)) else factor * p, params
    )


def is_elementwise(name: str) -> bool:
    """Whether the updates of the optimizer `name` do not depend on the division into arrays."""
    return _DIRECTIONS[name] is _adam


def _adam(config: OptimizerConfig) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.eps)


def _adafactor(config: OptimizerConfig) -> optax.GradientTransformation:
    def decay(step: Any, exponent: float) -> jax.Array:
        return jnp.minimum(config.beta2, 1 - (step + 1.0) ** -exponent)

    second = _of_matrices(optax.scale_by_factored_rms(epsilon=config.eps**2, decay_rate_fn=decay))
    momentum = optax.ema(config.beta1, debias=False) if config.beta1 else optax.identity()
    return optax.chain(second, optax.clip_by_block_rms(1.0), momentum)


def _of_matrices(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """`inner` applied to hidden matrices as matrices of one input and one output axis."""

    def reshaped(path: Any, leaf: jax.Array) -> jax.Array:
        if _name(path) not in _MATRICES:
            return leaf
        sums_over, _ = _MATRICES[_name(path)]
        first, last = leaf.ndim + min(sums_over), leaf.ndim + max(sums_over) + 1
        n_inputs = math.prod(leaf.shape[first:last])
        return leaf.reshape(*leaf.shape[:first], n_inputs, -1)

    def matrices(tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(reshaped, tree)

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        changed, state = inner.update(matrices(updates), state, matrices(params))
        return jax.tree.map(lambda new, old: new.reshape(old.shape), changed, updates), state

    return optax.GradientTransformation(lambda params: inner.init(matrices(params)), update)


def _muon(config: OptimizerConfig) -> optax.GradientTransformation:
    direction = scale_by_muon(beta=MUON_MOMENTUM, weight_dimension_numbers=_dimensions)
    matrices = optax.chain(direction, _scale_each(_rms_of_adam))
    return optax.partition({True: matrices, False: _adam(config)}, _by_name(_MATRICES.__contains__))


_DIRECTIONS: dict[str, Callable[[OptimizerConfig], optax.GradientTransformation]] = {
    "adamw": _adam,
    "adam": _adam,
    "adafactor": _adafactor,
    "muon": _muon,
}


def _rms_of_adam(path: Any, update: jax.Array) -> float:
    """Factor that gives an orthogonal matrix the root mean square `MUON_RMS`."""
    sums_over, gives = _MATRICES[_name(path)]
    fans = [math.prod(update.shape[axis] for axis in axes) for axes in (sums_over, gives)]
    return MUON_RMS * math.sqrt(max(fans))


def _scale_matrices(hidden: float, router: float) -> optax.GradientTransformation:
    """Multiply the updates of hidden matrices and of routers by a factor."""

    def factor(path: Any, _: jax.Array) -> float:
        if not _in_block(path) or _is_gain(_name(path)):
            return 1.0
        return router if _name(path) == _ROUTER else hidden

    return _scale_each(factor)


def _scale_each(factor: Callable[[Any, jax.Array], float]) -> optax.GradientTransformation:
    def scaled(updates: Any, _: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, u: factor(path, u) * u, updates)

    return optax.stateless(scaled)


def _by_name(choose: Callable[[str], Any]) -> Callable[[Any], Any]:
    """A function from a tree of parameters to the tree of `choose(name of the parameter)`."""
    return lambda tree: jax.tree_util.tree_map_with_path(lambda path, _: choose(_name(path)), tree)


def _name(path: Any) -> str:
    return str(path[-1].key)


def _in_block(path: Any) -> bool:
    return bool(path[0].key == "blocks")


def _is_gain(name: str) -> bool:
    # A bias is treated as a gain; Flax's own normalizations call their gain a scale.
    return name.endswith(("gain", "bias", "scale"))


_dimensions = _by_name(_MATRICES.__getitem__)
