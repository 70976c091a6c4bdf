"""Which rows a fit sees and how much each counts: nearness to the frontier, and compute."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.catalogue import SKALING, Law
from scaling_jax.laws.conventions import Compute
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.tables.select import Rows

# A frontier is fitted with this weight of compute, and a window keeps at least so many rows.
FRONTIER_POWER = 0.5
LEAST_KEPT = 8


def compute_weights(size_N: np.ndarray, largest: float, power: float) -> np.ndarray:
    """Weights `(C / C_max)^power` of rows, one at the largest compute."""
    weights_N: np.ndarray = np.minimum(size_N / largest, 1.0) ** power
    return weights_N


def above_frontier(law: Law, constants_P: np.ndarray, rows: Rows) -> np.ndarray:
    """How far each row's fitted loss lies above the least at its compute, as a share.

    Not a number where the law has no optimum, as when its loss rises with N or D.
    """
    return share_above(law, constants_P, rows.variables, rows.compute)


def share_above(
    law: Law, constants_P: np.ndarray, values: Mapping[str, np.ndarray], compute: Compute
) -> np.ndarray:
    """The same of runs of any params and tokens, whose C `compute` says."""
    flops_N = compute.of(values["params"], values["tokens"])
    best = allocation.form_frontier(law, constants_P, flops_N, compute).loss
    with np.errstate(all="ignore"):
        share_N: np.ndarray = law.value(constants_P, values) / best - 1
    return share_N


def weighted_rows(rows: Rows, options: Options) -> Rows:
    """The rows with the weights and within the window that the options ask for.

    Raises:
        InputError: rows without params, tokens and FLOPs, or too few rows in the window.
    """
    within, power = options.within, options.weight_by_compute
    if within is None and not power:
        return rows
    if not rows.has_size_and_data:
        option = "within" if within is not None else "weight_by_compute"
        raise InputError(
            f"{option} needs params, tokens and FLOPs of every row: add the columns, or leave "
            f"{option} out"
        )
    weight_N = rows.weight * compute_weights(rows.flops, float(rows.flops.max()), power or 0.0)
    rows = dataclasses.replace(rows, weight=weight_N)
    return rows if within is None else _within(rows, within)


def _within(rows: Rows, within: float) -> Rows:
    power_N = compute_weights(rows.flops, float(rows.flops.max()), FRONTIER_POWER)
    point = optimum(
        SKALING,
        rows.variables,
        rows.loss,
        rows.weight * power_N,
        objective=objective_named("huber"),
    )
    above_N = above_frontier(SKALING, point.constants_P, rows)
    kept_N = ~(above_N > within)
    if kept_N.sum() < LEAST_KEPT:
        raise InputError(
            f"within {within:g} keeps {int(kept_N.sum())} of {len(rows)} rows, fewer than "
            f"{LEAST_KEPT}: widen the window, or add runs nearer the frontier"
        )
    return rows.only(kept_N, f"more than {100 * within:g} % above the frontier")
