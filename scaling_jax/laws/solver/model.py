"""What the solver asks of a model: log losses and the derivatives of weighted sums of them."""

from typing import Any, NamedTuple, Protocol

import jax


class Derivatives(NamedTuple):
    """Weighted sums over rows of the gradients `g` and Hessians `H` of their log losses.

    `sum pull g`, then `sum stiff g g' + pull H` and `sum bound g g'`: an objective's gradient,
    its Hessian and its reweighted Gauss-Newton matrix.
    """

    gradient_P: jax.Array
    exact_PxP: jax.Array
    gauss_PxP: jax.Array


class RowWeights(NamedTuple):
    """Weights of the rows in `Derivatives`."""

    pull_N: jax.Array
    stiff_N: jax.Array
    bound_N: jax.Array


class Model(Protocol):
    """The logarithm of a law as a function of `theta_P` and per-row inputs; hashable."""

    def log_loss(self, theta_P: jax.Array, inputs: Any) -> jax.Array:
        """Log loss of every row, `N`."""

    def derivatives(self, theta_P: jax.Array, inputs: Any, weights: RowWeights) -> Derivatives:
        """Their derivatives, summed with weights."""


def from_slopes(slope_NxP: jax.Array, bend_PxP: jax.Array, weights: RowWeights) -> Derivatives:
    """The sums from every row's gradient and from the Hessians summed with weights `pull`."""
    return Derivatives(
        weights.pull_N @ slope_NxP,
        bend_PxP + (slope_NxP * weights.stiff_N[:, None]).T @ slope_NxP,
        (slope_NxP * weights.bound_N[:, None]).T @ slope_NxP,
    )
