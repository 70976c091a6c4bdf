"""Curves of several sizes and batches, adjusted to the least steps and the least compute.

Kaplan et al. 2020 (arXiv 2001.08361), equations 5.4 and 5.5.
"""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.catalogue import KAPLAN_PARAMS_STEPS
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN, SETTLED
from scaling_jax.laws.kaplan_frontier import KaplanFrontier
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.solver.optimum import optimum

if TYPE_CHECKING:
    import pandas as pd

_ENVELOPE_POINTS = 40


def points_of(curves: "pd.DataFrame", column: str) -> "pd.DataFrame":
    """The rows with N, the batch in tokens, and whether a run's transient is over."""
    last = curves.groupby("run_id")["tokens"].transform("max")
    return curves.assign(
        params=curves[column].astype(float),
        batch_tokens=curves["tokens"] / curves["step"],
        settled=curves["tokens"] >= SETTLED * last,
    )


def steps_min(points: "pd.DataFrame", star: float, inverse: float) -> np.ndarray:
    """Steps far above the critical batch (equation 5.4)."""
    batch_N = star * points["loss"].to_numpy(float) ** -inverse
    steps_N: np.ndarray = points["step"].to_numpy(float) / (
        1 + batch_N / points["batch_tokens"].to_numpy(float)
    )
    return steps_N


def searched(points: "pd.DataFrame", star: float, inverse: float) -> np.ndarray:
    """A, B, alpha_N and alpha_S of the global optimum."""
    values = {
        "params": points["params"].to_numpy(float),
        "steps": steps_min(points, star, inverse),
    }
    found = optimum(
        KAPLAN_PARAMS_STEPS,
        values,
        points["loss"].to_numpy(float),
        objective=objective_named("log-squares"),
    )
    constants = dict(zip(KAPLAN_PARAMS_STEPS.names, found.constants_P, strict=True))
    return np.array([constants[name] for name in ("A", "alpha_N", "B", "alpha_S")])


def refitted(
    points: "pd.DataFrame", star: float, inverse: float, start_P: np.ndarray
) -> np.ndarray:
    """The optimum next to another one."""
    from scipy.optimize import least_squares

    params_N, steps_N = points["params"].to_numpy(float), steps_min(points, star, inverse)
    log_N, log_S = np.log(params_N), np.log(steps_N)
    y_N = np.log(points["loss"].to_numpy(float))

    def residuals_N(log_P: np.ndarray) -> np.ndarray:
        a, alpha, b, beta = log_P
        fitted_N = np.logaddexp(a - np.exp(alpha) * log_N, b - np.exp(beta) * log_S)
        left_N: np.ndarray = fitted_N - y_N
        return left_N

    solved = least_squares(residuals_N, np.log(start_P), x_scale="jac")
    found_P: np.ndarray = np.exp(np.asarray(solved.x, float))
    return found_P


def adjusted_to(points: "pd.DataFrame", frontier: KaplanFrontier) -> "pd.DataFrame":
    """The rows adjusted to S_min and C_min by B_crit(L), with the loss by the law."""
    steps_N = steps_min(points, frontier.B_star, frontier.inverse_alpha_B)
    batch_N = frontier.B_star * points["loss"] ** -frontier.inverse_alpha_B
    rows = points[["run_id", "params", "batch_tokens", "loss", "settled"]].assign(
        critical_batch=batch_N,
        steps_min=steps_N,
        flops_min=FLOPS_PER_PARAM_TOKEN * points["params"] * batch_N * steps_N,
        fitted=frontier.A / points["params"] ** frontier.alpha_N
        + frontier.B / steps_N**frontier.alpha_S,
    )
    return rows.reset_index(drop=True)


def envelope_of(adjusted: "pd.DataFrame", frontier: KaplanFrontier) -> "pd.DataFrame":
    """The lowest loss at C_min from the first that two sizes share to the last that two do.

    A run's loss at a C_min is linear in logarithms between its points.
    """
    import pandas as pd

    spans = adjusted.groupby("params")["flops_min"].agg(["min", "max"])
    low, high = np.sort(spans["min"])[1], np.sort(spans["max"])[-2]
    flops_G = np.geomspace(low, high, _ENVELOPE_POINTS) if low < high else np.array([low])
    optima = [frontier.at(flops) for flops in flops_G]
    runs = [rows.sort_values("flops_min") for _, rows in adjusted.groupby("run_id")]
    loss_RxG = np.exp([_loss_at(flops_G, rows) for rows in runs])
    size_R = np.array([rows["params"].iloc[0] for rows in runs])
    found = pd.DataFrame(
        {
            "flops_min": flops_G,
            "loss": loss_RxG.min(axis=0),
            "params": size_R[loss_RxG.argmin(axis=0)],
            "best_loss": [each.loss for each in optima],
            "best_params": [each.params for each in optima],
        }
    )
    inside = found["best_params"].between(size_R.min(), size_R.max())
    kept: pd.DataFrame = found[inside & np.isfinite(found["loss"])].reset_index(drop=True)
    return kept


def _loss_at(flops_G: np.ndarray, rows: "pd.DataFrame") -> np.ndarray:
    """Log of a run's loss, infinite outside its budgets."""
    x_P, y_P = np.log(rows["flops_min"]), np.log(rows["loss"])
    loss_G: np.ndarray = np.interp(np.log(flops_G), x_P, y_P, left=np.inf, right=np.inf)
    return loss_G
