"""Functions in the solver: derivatives by autodiff, starts that fill the constants' ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.optimum import PointFit
from scaling_jax.laws.solver.search import global_optimum, padded

if TYPE_CHECKING:
    import jax

    from scaling_jax.laws.solver.model import Derivatives, RowWeights
    from scaling_jax.laws.solver.newton import Problem


@dataclass(frozen=True)
class FunctionModel:
    """A function as the solver's model; inputs are its variables.

    The solver takes differences of `log_loss` and the rows' `y_N`. They are logs under an
    objective in logs; otherwise both are plain responses, which may have any sign.
    """

    form: FunctionLaw
    is_logged: bool

    def log_loss(self, theta_P: "jax.Array", inputs: Mapping[str, "jax.Array"]) -> "jax.Array":
        """The response of every row, or its log."""
        import jax.numpy as jnp

        constants = {
            parameter.name: jnp.exp(theta) if parameter.positive else theta
            for parameter, theta in zip(self.form.parameters, theta_P, strict=True)
        }
        response = jnp.asarray(self.form.function(constants, inputs))
        response_N = jnp.broadcast_to(response, next(iter(inputs.values())).shape)
        return jnp.log(response_N) if self.is_logged else response_N

    def slopes(self, theta_P: "jax.Array", inputs: Mapping[str, "jax.Array"]) -> "jax.Array":
        """Gradients by forward differentiation."""
        import jax

        return jax.jacfwd(self.log_loss)(theta_P, inputs)

    def derivatives(
        self, theta_P: "jax.Array", inputs: Mapping[str, "jax.Array"], weights: "RowWeights"
    ) -> "Derivatives":
        """Weighted sums of derivatives."""
        from scaling_jax.laws.solver.model import from_slopes

        bend_PxP = self.bend(theta_P, inputs, weights.pull_N)
        return from_slopes(self.slopes(theta_P, inputs), bend_PxP, weights)

    def bend(
        self, theta_P: "jax.Array", inputs: Mapping[str, "jax.Array"], weight_N: "jax.Array"
    ) -> "jax.Array":
        """Weighted sum of the rows' Hessians."""
        import jax

        return jax.hessian(lambda theta: weight_N @ self.log_loss(theta, inputs))(theta_P)


@in_float64
def fit_function(
    form: FunctionLaw,
    values: Mapping[str, np.ndarray],
    response_N: np.ndarray,
    weights_N: np.ndarray | None = None,
    *,
    objective: Objective | None = None,
    fixed: Mapping[str, float] | None = None,
) -> PointFit:
    """The global optimum of the objective, as `optimum` finds it for a `PowerSum`.

    Residuals are of logs or of plain responses, as the objective's space has it.

    Raises:
        InputError: `fixed` names what the form does not have; a signed response and an objective
            in logs; the function is finite at no start.
    """
    from scaling_jax.laws.solver import newton

    problem = _problem(form, objective or form.default_objective)
    held_P = form.held_theta(fixed or {})
    free_P = np.isnan(held_P).astype(np.float64)
    inputs = {name: np.asarray(values[name], np.float64) for name in form.variables}
    y_N = _measured(problem, response_N)
    w_N = np.ones_like(y_N) if weights_N is None else np.asarray(weights_N, np.float64)
    rows = padded(inputs, y_N, w_N)
    data = newton.Data(*_on_device((*rows, free_P)))
    starts_SxP = np.where(free_P > 0, form.starts(), np.nan_to_num(held_P))
    found = global_optimum(problem, starts_SxP, data)
    return PointFit.of(found, form.constants(found.theta_P), free_P, y_N, {})


@in_float64
def refit_function(
    form: FunctionLaw,
    values: Mapping[str, np.ndarray],
    fitted: PointFit,
    response_BxN: np.ndarray,
    weights_BxN: np.ndarray,
    *,
    objective: Objective | None = None,
) -> np.ndarray:
    """Constants `BxP` of the form refitted to B resamples, each from the optimum of the whole."""
    from scaling_jax.laws.solver import newton

    problem = _problem(form, objective or form.default_objective)
    inputs = {name: np.asarray(values[name], np.float64) for name in form.variables}
    rows = padded(inputs, _measured(problem, response_BxN).T, weights_BxN.T)
    inputs_N, y_NxB, w_NxB = rows
    data = newton.Data(*_on_device((inputs_N, y_NxB[:, 0], w_NxB[:, 0], fitted.free_P)))
    theta_BxP = np.tile(fitted.theta_P, (y_NxB.shape[1], 1))
    return form.constants(newton.descend(problem, theta_BxP, data, y_NxB.T, w_NxB.T).theta_SxP)


def _problem(form: FunctionLaw, objective: Objective) -> "Problem":
    from scaling_jax.laws.solver import newton

    # The model is already in the objective's space, so the solver takes plain differences of it,
    # which is what it does for an objective in logs.
    model = FunctionModel(form, form.is_logged(objective))
    return newton.Problem(model, replace(objective, space="log"))


def _measured(problem: Any, response: np.ndarray) -> np.ndarray:
    """Responses in the model's space."""
    response = np.asarray(response, np.float64)
    return np.log(response) if problem.model.is_logged else response


def _on_device(tree: Any) -> Any:
    import jax

    return jax.tree.map(jax.numpy.asarray, tree)
