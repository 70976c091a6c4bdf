"""A law as the solver takes it: log responses, and weighted sums of their derivatives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import jax

    from scaling_jax.laws.solver.problem import Data, Problem


# A term with a smaller share of every response, or a constant that changes every one by less,
# has vanished.
LEAST_SHARE = 1e-3


class Derivatives(NamedTuple):
    """Derivatives of an objective in `theta`.

    Attributes:
        gradient_P: gradient.
        hessian_PxP: exact Hessian.
        gauss_newton_PxP: the reweighted Gauss-Newton matrix, which is positive definite where
            the Hessian need not be.
    """

    gradient_P: "jax.Array"
    hessian_PxP: "jax.Array"
    gauss_newton_PxP: "jax.Array"


class RowWeights(NamedTuple):
    """Weights of the rows in `Derivatives`.

    With `g` and `H` the gradient and Hessian of a row's log response, the objective's gradient is
    `sum gradient_N g`, its Hessian `sum outer_N g g' + gradient_N H`, and its Gauss-Newton matrix
    `sum gauss_newton_N g g'`.
    """

    gradient_N: "jax.Array"
    outer_N: "jax.Array"
    gauss_newton_N: "jax.Array"


class Revival(NamedTuple):
    """Points `theta_RxP` at which `constants`, indices of `theta`, change the rows again."""

    constants: tuple[int, ...]
    theta_RxP: np.ndarray


class Model(Protocol):
    """The logarithm of a law as a function of `theta_P` and per-row inputs; hashable."""

    def log_loss(self, theta_P: "jax.Array", inputs: Any) -> "jax.Array":
        """Log response of every row, `N`."""

    def derivatives(self, theta_P: "jax.Array", inputs: Any, weights: RowWeights) -> Derivatives:
        """Their derivatives, summed with weights."""


class Parametrization(Protocol):
    """What turns a law, its columns and its constants into what a descent works on, and back.

    Sums of powers have closed forms for derivatives and starts (`power_sum.PowerSumSolver`); any
    other function is differentiated automatically (`autodiff.FunctionSolver`).
    """

    @property
    def problem(self) -> "Problem":
        """The model and objective that are compiled."""

    def centre(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """What is taken out of every variable before the fit."""

    def inputs(self, values: Mapping[str, np.ndarray], centre: Mapping[str, float]) -> Any:
        """The model's inputs, an array or tree of arrays with rows first."""

    def measured(self, response: np.ndarray) -> np.ndarray:
        """Responses in the model's space: logs, or as they are."""

    def starts(self, held_P: np.ndarray, data: "Data", least: float) -> np.ndarray:
        """Starts `theta_SxP`; `least` is the lowest measured response."""

    def constants(self, theta_P: np.ndarray, centre: Mapping[str, float]) -> np.ndarray:
        """The law's constants, on the last axis."""

    def vanished(self, gradient_NxP: np.ndarray, predicted_N: np.ndarray) -> tuple[int, ...]:
        """Indices of constants in `theta` that hardly change any row's response."""

    def revivals(
        self, theta_P: np.ndarray, vanished: tuple[int, ...], least: float
    ) -> "list[Revival]":
        """Points about an optimum at which its vanished constants change the rows again."""


def from_row_gradients(
    gradient_NxP: "jax.Array", hessian_PxP: "jax.Array", weights: RowWeights
) -> Derivatives:
    """The sums from every row's gradient and from the Hessians summed with `gradient_N`."""
    return Derivatives(
        weights.gradient_N @ gradient_NxP,
        hessian_PxP + (gradient_NxP * weights.outer_N[:, None]).T @ gradient_NxP,
        (gradient_NxP * weights.gauss_newton_N[:, None]).T @ gradient_NxP,
    )
