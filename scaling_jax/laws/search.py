"""The global optimum of a fit: many starts, a few steps each, the best of them to their ends."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError

# The most promising starts take a few steps each, and the best of those go on to their ends.
_TRIAL_GROUPS, _TRIAL_STEPS = 5, 10
_FINISHED = 32
_TRIED = _TRIAL_GROUPS * _FINISHED

# Objectives below this are residuals in the last digits only, as of rows without noise.
_ROUNDING = 1e-24

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """The lowest optimum that any start led to.

    Attributes:
        theta_P: where it is.
        value: objective, summed over rows.
        gradient_norm: Euclidean norm of the objective's gradient in `theta`.
        condition: condition number of the Hessian, its diagonal scaled to one.
        n_optima: distinct optima that the finished descents ended in.
        predicted_N: the model's values at the optimum, in the objective's space.
    """

    theta_P: np.ndarray
    value: float
    gradient_norm: float
    condition: float
    n_optima: int
    predicted_N: np.ndarray


def global_optimum(problem: Any, starts_SxP: ArrayLike, data: Any) -> Found:
    """Descend from the most promising starts; `problem` and `data` are those of `solve`.

    Raises:
        InputError: the objective is finite at no start.
    """
    import jax.numpy as jnp

    from scaling_jax.laws import solve

    start_values_S = np.asarray(solve.values_at(problem, starts_SxP, data))
    if not np.isfinite(start_values_S).any():
        raise InputError(
            "the law has no finite value on these rows from any start: check the ranges of its "
            "constants and the units of the columns"
        )
    tried_SxP = _lowest(starts_SxP, start_values_S, _TRIED)
    # In groups of the size that is finished, so that both stages are one compiled program.
    trials = [
        solve.descend_from(problem, group, data, jnp.int32(_TRIAL_STEPS))
        for group in tried_SxP.reshape(-1, _FINISHED, tried_SxP.shape[1])
    ]
    reached = [np.concatenate(parts) for parts in zip(*trials, strict=True)]
    finished_SxP = _lowest(reached[0], reached[1], _FINISHED)
    ends = solve.descend_from(problem, finished_SxP, data, jnp.int32(solve.MAX_STEPS))
    values_S = np.asarray(ends.value)
    theta_P = np.asarray(ends.theta_P)[int(np.nanargmin(values_S))]
    gradient_P, exact_PxP, predicted_N = solve.examined(problem, theta_P, data)
    return Found(
        theta_P=theta_P,
        value=float(np.nanmin(values_S)),
        gradient_norm=float(np.linalg.norm(gradient_P)),
        condition=_condition(np.asarray(exact_PxP)),
        n_optima=_count_distinct(values_S),
        predicted_N=np.asarray(predicted_N),
    )


def padded(inputs: T, y_Nx: np.ndarray, w_Nx: np.ndarray) -> tuple[T, np.ndarray, np.ndarray]:
    """The rows, and copies of the last one without weight up to a round number of them.

    Tables of nearly the same length then share one compiled program, also between processes
    through JAX's compilation cache. `inputs` is an array or tree of arrays with rows first.
    """
    import jax

    n = len(y_Nx)
    step = max(16, 1 << (n.bit_length() - 2))
    extra = -n % step

    def longer(a: np.ndarray) -> np.ndarray:
        return np.concatenate([a, np.repeat(a[-1:], extra, axis=0)])

    unweighted = np.zeros((extra, *w_Nx.shape[1:]))
    return jax.tree.map(longer, inputs), longer(y_Nx), np.concatenate([w_Nx, unweighted])


def _lowest(theta_SxP: ArrayLike, value_S: ArrayLike, count: int) -> np.ndarray:
    """The `count` rows of lowest value, the last repeated where there are fewer."""
    values = np.asarray(value_S)
    order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
    return np.asarray(theta_SxP)[order[np.minimum(np.arange(count), len(order) - 1)]]


def _condition(hessian_PxP: np.ndarray) -> float:
    scale_P = 1 / np.sqrt(np.maximum(np.abs(np.diag(hessian_PxP)), 1e-300))
    eigenvalues = np.linalg.eigvalsh(hessian_PxP * scale_P[:, None] * scale_P)
    return float("inf") if eigenvalues[0] <= 0 else float(eigenvalues[-1] / eigenvalues[0])


def _count_distinct(values_S: np.ndarray) -> int:
    """Optima whose objectives differ by more than a millionth of the best, and than rounding."""
    ordered = np.sort(values_S[np.isfinite(values_S)])
    return int(1 + (np.diff(ordered) > 1e-6 * ordered[0] + _ROUNDING).sum())
