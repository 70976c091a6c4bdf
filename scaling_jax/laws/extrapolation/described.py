"""The one law that lies closest to a weighted average of many."""

from collections.abc import Mapping

import numpy as np

from scaling_jax.laws import allocation
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.catalogue.linearized import centre_of
from scaling_jax.laws.extrapolation.other_laws import nearest
from scaling_jax.laws.tables.select import Rows

# Points at which the average is evaluated to be described: budgets from the smallest fitted one to
# this many times the largest, and model sizes around the optimum of each.
_BEYOND, _N_BUDGETS, _N_SIZES, _WIDTH = 100.0, 12, 7, 8.0
# An optimum farther than this from the sizes of the rows, as a factor, is none.
_FARTHEST = 1e3
# So many members are starts of the search, with a floor of at least this share of the least loss
# and no term below this share of the other: a term that has vanished has no slope to be found by.
_TRIED, _FIRST_FLOOR, _LEAST_SHARE = 3, 0.3, 1e-2


def described(rows: Rows, constants_JxP: np.ndarray, weight_J: np.ndarray) -> np.ndarray:
    """Constants of the law `skaling` that lies closest to the weighted mean of the log losses.

    Args:
        rows: the fitted rows, which say over what budgets and sizes.
        constants_JxP: of the averaged cases of that law.
        weight_J: their weights, with the sum one.
    """
    at = _grid(rows, constants_JxP[weight_J.argmax()])
    aim_G = weight_J @ np.log(SKALING.value(constants_JxP[:, None, :], at))
    # Constants that every member holds at one value, the average has too.
    is_held_P = (constants_JxP == constants_JxP[0]).all(axis=0)
    held = tuple(name for name, is_held in zip(SKALING.names, is_held_P, strict=True) if is_held)
    floor = 0.0 if "E" in held else _FIRST_FLOOR * float(rows.loss.min())
    starts = [_with_every_term(constants_JxP[j], at, floor) for j in _starts(weight_J)]
    found = [nearest(SKALING, at, aim_G, start_P, held) for start_P in starts]
    best = min(found, key=lambda each: each.misfit)
    return np.where(is_held_P, constants_JxP[0], best.constants_P)


def _starts(weight_J: np.ndarray) -> list[int]:
    """The heaviest members, of unlike weights, since members of equal weight are often equal."""
    order = np.argsort(-weight_J, kind="stable")
    _, first = np.unique(-weight_J[order], return_index=True)
    return [int(order[j]) for j in first[:_TRIED]]


def _with_every_term(
    constants_P: np.ndarray, at: Mapping[str, np.ndarray], floor: float
) -> np.ndarray:
    """The law with its floor and its terms raised to where a search can still move them."""
    centre = centre_of(SKALING, at)
    raised_P = constants_P.copy()
    raised_P[0] = max(raised_P[0], floor)
    theta_P = SKALING.theta(raised_P, centre)
    theta_P[1:3] = np.maximum(theta_P[1:3], theta_P[1:3].max() + np.log(_LEAST_SHARE))
    return SKALING.constants(theta_P, centre)


def _grid(rows: Rows, constants_P: np.ndarray) -> dict[str, np.ndarray]:
    low, high = float(rows.flops.min()), _BEYOND * float(rows.flops.max())
    flops_G = np.repeat(np.geomspace(low, high, _N_BUDGETS), _N_SIZES)
    factor_G = np.tile(np.geomspace(1 / _WIDTH, _WIDTH, _N_SIZES), _N_BUDGETS)
    best = allocation.form_frontier(SKALING, constants_P, flops_G, rows.compute).params
    middle_G = np.exp(np.interp(np.log(flops_G), *_by_compute(rows)))
    # A law whose term of size has vanished has its optimum at sizes that nobody trains.
    with np.errstate(all="ignore"):
        is_near_G = np.abs(np.log(best / middle_G)) < np.log(_FARTHEST)
    params_G = np.where(is_near_G, best, middle_G) * factor_G
    tokens_G = flops_G / rows.compute.of(params_G, np.ones_like(params_G))
    return {"params": params_G, "tokens": tokens_G}


def _by_compute(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(rows.flops)
    return np.log(rows.flops[order]), np.log(rows.params[order])
