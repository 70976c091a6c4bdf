"""The global optimum of a fit: the best of many starts, and restarts from the best optimum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.scaled_prior import noise_of, per_nat

if TYPE_CHECKING:
    from scaling_jax.laws.solver.newton import Ends, Examined

# Descents at a time, and how often the best optimum is left to look for a lower one.
_TRIED = 32
# Among more rows a search starts from the best ends on a sample of them.
MOST_SEARCHED, _SAMPLED = 100_000, 1 << 14
# Ends on a sample that are worth a descent on all rows.
_FINISHED = 4
# The objective alone takes less memory than a descent.
_STARTS_PER_DESCENT = 8
_MOST_RESTARTS = 12
_IMPROVED = 1e-9

# Gradients that are a combination of others, as those of a term that has vanished.
_NO_DIRECTION = 1e-9

# Objectives below this are residuals in the last digits only, as of rows without noise.
_ROUNDING = 1e-24
# A mean penalty below this comes from residuals below 1e-9, which is a fit without error.
_EXACT = 1e-18

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """The lowest optimum that any start led to.

    Attributes:
        theta_P: where it is.
        value: objective, summed over rows.
        gradient_norm: Euclidean norm of the objective's gradient in `theta`.
        unbalanced: the gradient's norm as a share of what it would be if no row's contribution to a
            constant were balanced by another's; near zero where the search converged.
        condition: condition number of the Hessian, its diagonal scaled to one.
        n_optima: distinct optima that the finished descents ended in.
        predicted_N: the model's values at the optimum, in the objective's space.
        gradient_NxP: gradients of `predicted_N` in `theta`, zero in what is held.
        leverage_N: share of each row's value that least squares would fit to the row itself.
    """

    theta_P: np.ndarray
    value: float
    gradient_norm: float
    unbalanced: float
    condition: float
    n_optima: int
    predicted_N: np.ndarray
    gradient_NxP: np.ndarray
    leverage_N: np.ndarray


def global_optimum(problem: Any, starts_SxP: ArrayLike, data: Any) -> Found:
    """Descend from the most promising starts; `problem` and `data` are those of `solve`.

    A small Huber delta makes rugged objectives: many optima close together, each of a law that
    passes through other rows. So the best one is left again by descending with random weights on
    the rows and back with the true ones (bootstrap restarting, Wood 2001, Biometrics 57, 240),
    as long as that leads to a lower one. More than `MOST_SEARCHED` rows are neither shaken, since
    their objective is smooth, nor descended on from more starts than there are.

    Raises:
        InputError: the objective is finite at no start.
    """
    from scaling_jax.laws.solver import newton

    best = _searched(problem, np.asarray(starts_SxP), data)
    end = newton.examined(problem, best.theta_P, data)
    return Found(
        theta_P=np.asarray(end.theta_P),
        value=best.value,
        gradient_norm=float(np.linalg.norm(end.gradient_P)),
        unbalanced=_unbalanced(end, best.value, data),
        condition=_condition(np.asarray(end.hessian_PxP)),
        n_optima=_count_distinct(best.values),
        predicted_N=np.asarray(end.log_loss_N),
        gradient_NxP=np.asarray(end.gradient_NxP),
        leverage_N=leverages(
            np.asarray(end.gradient_NxP),
            np.asarray(data.w_N),
            _prior_rows(problem.objective, data, np.asarray(end.log_loss_N)),
        ),
    )


def _prior_rows(objective: Objective, data: Any, predicted_N: np.ndarray) -> np.ndarray | None:
    """Curvature of the priors over that of a row of weight 1; None without priors."""
    if data.prior is None:
        return None
    noise = noise_of(np.asarray(data.y_N - predicted_N)[np.asarray(data.w_N) > 0])
    prior_P = np.asarray(data.prior.precision_P) * np.asarray(data.free_P)
    rows_P: np.ndarray = prior_P * noise**2 / per_nat(noise, objective)
    return rows_P


def sampled(rows: T, y_N: np.ndarray, w_N: np.ndarray) -> tuple[T, np.ndarray, np.ndarray]:
    """Some of many rows, the same at every call, which count as often as all do.

    `rows` is an array or tree of arrays with rows first.
    """
    import jax

    counted = np.flatnonzero(w_N)
    size = min(_SAMPLED, len(counted))
    some = np.sort(np.random.default_rng(0).choice(counted, size, replace=False))
    more = float(w_N.sum() / w_N[some].sum())
    return jax.tree.map(lambda x: x[some], rows), y_N[some], w_N[some] * more


def best_ends(problem: Any, starts_SxP: np.ndarray, data: Any) -> np.ndarray:
    """The few lowest optima of a search, lowest first.

    Raises:
        InputError: the objective is finite at no start.
    """
    best = _searched(problem, starts_SxP, data)
    order = np.argsort(np.where(np.isfinite(best.values), best.values, np.inf), kind="stable")
    distinct = [order[0]]
    for k in order[1:]:
        if is_lower(float(best.values[distinct[-1]]), float(best.values[k])):
            distinct.append(k)
    return best.ends_SxP[distinct[:_FINISHED]]


def _searched(problem: Any, starts_SxP: np.ndarray, data: Any) -> "_Best":
    from scaling_jax.laws.solver import newton

    start_values_S = _values_of(problem, starts_SxP, data)
    if not np.isfinite(start_values_S).any():
        raise InputError(
            "the law has no finite value on these rows from any start: check the ranges of its "
            "constants and the units of the columns"
        )
    is_long = len(data.y_N) > MOST_SEARCHED
    tried = min(_TRIED, len(starts_SxP)) if is_long else _TRIED
    best = _Best(newton.descend(problem, _lowest(starts_SxP, start_values_S, tried), data))
    if is_long:
        return best
    rng = np.random.default_rng(0)
    w_SxN = np.broadcast_to(data.w_N, (_TRIED, len(data.w_N)))
    for _ in range(_MOST_RESTARTS):
        theta_SxP = np.tile(best.theta_P, (_TRIED, 1))
        shaken_SxN = w_SxN * rng.exponential(size=w_SxN.shape)
        shaken = newton.descend(problem, theta_SxP, data, w_SxN=shaken_SxN)
        if not best.improve(newton.descend(problem, shaken.theta_SxP, data)):
            break
    return best


def _values_of(problem: Any, starts_SxP: np.ndarray, data: Any) -> np.ndarray:
    """The objective of every start, in parts that limit memory for long tables."""
    from scaling_jax.laws.solver import newton
    from scaling_jax.laws.solver.problem import values_at

    size = _STARTS_PER_DESCENT * newton.at_once(len(data.y_N))
    parts = [starts_SxP[at : at + size] for at in range(0, len(starts_SxP), size)]
    return np.concatenate([np.asarray(values_at(problem, part, data)) for part in parts])


class _Best:
    """The lowest end of any descent so far."""

    def __init__(self, ends: "Ends") -> None:
        self.ends_SxP, self.values = ends
        lowest = int(np.nanargmin(ends.value_S))
        self.theta_P, self.value = ends.theta_SxP[lowest], float(ends.value_S[lowest])

    def improve(self, ends: "Ends") -> bool:
        """Add the ends of further descents; return whether `is_lower` for the lowest of them."""
        self.ends_SxP = np.concatenate([self.ends_SxP, ends.theta_SxP])
        self.values = np.concatenate([self.values, ends.value_S])
        other = _Best(ends)
        improved = is_lower(other.value, self.value)
        if other.value < self.value:
            self.theta_P, self.value = other.theta_P, other.value
        return improved


def is_lower(value: float, other: float) -> bool:
    """Whether one objective is lower than another by more than the solver's precision."""
    return other - value > _IMPROVED * value + _ROUNDING


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


def leverages(
    gradient_NxP: np.ndarray, w_N: np.ndarray, prior_P: np.ndarray | None = None
) -> np.ndarray:
    """Diagonal of the projection on the rows' gradients: what a row's own value does to its fit.

    Args:
        gradient_NxP: of the rows' fitted values.
        w_N: weights of the rows.
        prior_P: curvature of the constants' priors over that of a row of weight 1. A prior is a row
            that measures its constant alone, and lowers the leverage of the others.
    """
    x_MxP = gradient_NxP * np.sqrt(w_N)[:, None]
    if prior_P is not None:
        x_MxP = np.concatenate([x_MxP, np.diag(np.sqrt(prior_P))])
    x_MxP = x_MxP / np.maximum(np.linalg.norm(x_MxP, axis=0), 1e-300)
    left_MxP, size_P, _ = np.linalg.svd(x_MxP, full_matrices=False)
    kept_MxP = left_MxP[:, size_P > _NO_DIRECTION * size_P[0]]
    leverage_N: np.ndarray = np.sum(kept_MxP[: len(w_N)] ** 2, axis=1)
    return leverage_N


def _unbalanced(end: "Examined", value: float, data: Any) -> float:
    """The gradient's norm over that of the rows' absolute contributions to it."""
    # Residuals of rows without noise are rounding errors, which nothing balances.
    if value <= _EXACT * float(np.asarray(data.w_N).sum()):
        return 0.0
    slope_N = np.abs(np.asarray(end.slope_N))
    rows_P = slope_N @ np.abs(np.asarray(end.gradient_NxP))
    return float(np.linalg.norm(end.gradient_P) / max(float(np.linalg.norm(rows_P)), 1e-300))


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
