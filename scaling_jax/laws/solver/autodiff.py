"""Any function in the solver: derivatives by autodiff, starts that fill the constants' ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.model import (
    LEAST_SHARE,
    Derivatives,
    Revival,
    RowWeights,
    from_row_gradients,
)
from scaling_jax.laws.solver.problem import Data, Problem

# Shares of the range at which a vanished constant comes back.
_REVIVED = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class FunctionModel:
    """A function as the solver's model; inputs are its variables.

    The solver takes differences of `log_loss` and the rows' `y_N`. They are logs under an
    objective in logs; otherwise both are plain responses, which may have any sign.
    """

    law: FunctionLaw
    is_logged: bool

    def log_loss(self, theta_P: jax.Array, inputs: Mapping[str, jax.Array]) -> jax.Array:
        """The response of every row, or its log."""
        # Positive constants are fitted as logs, so that no step can take them below zero.
        constants = {
            parameter.name: jnp.exp(theta) if parameter.positive else theta
            for parameter, theta in zip(self.law.parameters, theta_P, strict=True)
        }
        response = jnp.asarray(self.law.function(constants, inputs))
        response_N = jnp.broadcast_to(response, next(iter(inputs.values())).shape)
        return jnp.log(response_N) if self.is_logged else response_N

    def row_gradients(self, theta_P: jax.Array, inputs: Mapping[str, jax.Array]) -> jax.Array:
        """Gradients of the rows, `NxP`, by forward differentiation: P is small, N is not."""
        gradient_NxP: jax.Array = jax.jacfwd(self.log_loss)(theta_P, inputs)
        return gradient_NxP

    def hessian(
        self, theta_P: jax.Array, inputs: Mapping[str, jax.Array], weight_N: jax.Array
    ) -> jax.Array:
        """Weighted sum of the rows' Hessians."""
        hessian_PxP: jax.Array = jax.hessian(lambda theta: weight_N @ self.log_loss(theta, inputs))(
            theta_P
        )
        return hessian_PxP

    def derivatives(
        self, theta_P: jax.Array, inputs: Mapping[str, jax.Array], weights: RowWeights
    ) -> Derivatives:
        """Weighted sums of derivatives."""
        hessian_PxP = self.hessian(theta_P, inputs, weights.gradient_N)
        return from_row_gradients(self.row_gradients(theta_P, inputs), hessian_PxP, weights)


@dataclass(frozen=True)
class FunctionSolver:
    """A function's parametrization: plain variables, positive constants in logs."""

    law: FunctionLaw
    objective: Objective

    @property
    def problem(self) -> Problem:
        """The model and the objective."""
        # The model is already in the objective's space, so the solver takes plain differences of
        # it, which is what it does for an objective in logs.
        model = FunctionModel(self.law, self.law.is_logged(self.objective))
        return Problem(model, replace(self.objective, space="log"))

    def centre(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Nothing: a function's constants are tied to the units of its variables."""
        return {}

    def inputs(self, values: Mapping[str, np.ndarray], centre: Mapping[str, float]) -> Any:
        """The columns that the law reads."""
        return {name: np.asarray(values[name], np.float64) for name in self.law.variables}

    def measured(self, response: np.ndarray) -> np.ndarray:
        """Logs, or plain responses under an objective that is not in logs."""
        return np.log(response) if self.law.is_logged(self.objective) else response

    def starts(self, held_P: np.ndarray, data: Data, least: float) -> np.ndarray:
        """Points that fill the constants' ranges evenly."""
        return self.law.starts()

    def constants(self, theta_P: np.ndarray, centre: Mapping[str, float]) -> np.ndarray:
        """Constants from `theta`."""
        return self.law.constants(theta_P)

    def vanished(self, gradient_NxP: np.ndarray, predicted_N: np.ndarray) -> tuple[int, ...]:
        """Constants that hardly change any row, where a positive one is among them.

        A positive one is tried e-fold, any other across its range.
        """
        unit = 1.0 if self.law.is_logged(self.objective) else float(np.abs(predicted_N).max())
        width_P = np.array([1.0 if p.positive else p.high - p.low for p in self.law.parameters])
        still_P = np.abs(gradient_NxP).max(axis=0) * width_P < LEAST_SHARE * unit
        positive_P = np.array([p.positive for p in self.law.parameters])
        return tuple(np.flatnonzero(still_P).tolist()) if (still_P & positive_P).any() else ()

    def revivals(
        self, theta_P: np.ndarray, vanished: tuple[int, ...], least: float
    ) -> list[Revival]:
        """The vanished constants together at points of their ranges."""
        theta_RxP = np.tile(theta_P, (len(_REVIVED), 1))
        for p in vanished:
            low, high = self.law.range_of_theta[p]
            theta_RxP[:, p] = low + np.array(_REVIVED) * (high - low)
        return [Revival(vanished, theta_RxP)] if vanished else []
