"""One power law of compute for each ratio of tokens to parameters.

On a ray `D = k N` the law `E + A / N^alpha + B / D^beta` is a sum of two powers of compute, and one
power law describes it nearly as well; it needs no law of how the loss depends on the ratio.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import Compute
from scaling_jax.laws.extrapolation.power_of_compute import PowerOfCompute, fit_power
from scaling_jax.laws.priors import Prior
from scaling_jax.laws.tables.select import Rows

# Runs of one ray differ by at most this factor in tokens per parameter.
_WIDTH = 1.25
_NEAR = float(np.log(_WIDTH)) * (1 + 1e-9)
_LEAST_RUNS = 4
_LEAST_SPAN = 10.0


@dataclass(frozen=True)
class Ray:
    """The runs of about one ratio of tokens to parameters, and their law.

    Attributes:
        tokens_per_param: the geometric mean of the runs' ratios.
        law: of the loss in compute.
        flops_range: the least and the greatest C of the runs.
        n_runs: how many there are.
    """

    tokens_per_param: float
    law: PowerOfCompute
    flops_range: tuple[float, float]
    n_runs: int


@dataclass(frozen=True)
class LeftOut:
    """A ray without a law.

    Attributes:
        tokens_per_param: the geometric mean of the runs' ratios.
        reason: why there is no law, in words.
    """

    tokens_per_param: float
    reason: str


@dataclass(frozen=True)
class Rays:
    """Power laws along rays of constant tokens per parameter.

    Attributes:
        rays: ascending in tokens per parameter.
        left_out: rays whose runs give no law.
        compute: what C is.
    """

    rays: tuple[Ray, ...]
    left_out: tuple[LeftOut, ...]
    compute: Compute

    def reaches(self, params: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        """Whether a ray with a law has nearly the tokens per parameter of a run, elementwise."""
        near: np.ndarray = self._distances(params, tokens).min(axis=-1) <= _NEAR
        return near

    def predict(self, params: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        """The loss of runs of N parameters and D tokens by the nearest ray, elementwise.

        Raises:
            InputError: a run that is on no ray with a law; the message names the rays.
        """
        far = ~self.reaches(params, tokens)
        if far.any():
            ratio = np.broadcast_to(np.divide(tokens, params), far.shape)[far]
            raise InputError(self._refusal(float(ratio[0])))
        flops = self.compute.of(np.asarray(params, np.float64), np.asarray(tokens, np.float64))
        loss = np.stack([ray.law.loss(flops) for ray in self.rays], axis=-1)
        nearest = self._distances(params, tokens).argmin(axis=-1)[..., None]
        predicted: np.ndarray = np.take_along_axis(loss, nearest, axis=-1)[..., 0]
        return predicted

    def _refusal(self, ratio: float) -> str:
        known = ", ".join(f"{ray.tokens_per_param:.3g}" for ray in self.rays)
        why = f"is within a factor {_WIDTH:g} of no ray with a law ({known} tokens per parameter)"
        near = min(self.left_out, key=lambda ray: _distance(ray, ratio), default=None)
        if near is not None and _distance(near, ratio) <= _NEAR:
            why += f"; the ray of {near.tokens_per_param:.3g} has none: {near.reason}"
        return (
            f"a run of {ratio:.3g} tokens per parameter {why}: predict it by a law of params and "
            "tokens"
        )

    def _distances(self, params: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        ratio = np.divide(tokens, params)
        return np.stack([_distance(ray, ratio) for ray in self.rays], axis=-1)


def _distance(ray: Ray | LeftOut, ratio: ArrayLike) -> np.ndarray:
    """The factor, in logs, between a ray's tokens per parameter and a run's."""
    distance: np.ndarray = np.abs(np.log(np.divide(ratio, ray.tokens_per_param)))
    return distance


def fit_rays(rows: Rows, *, floor: float | None = None, prior: Prior | None = None) -> Rays:
    """The power law `L = E + K C^-gamma` of every ray of 4 runs that span a factor 10 in compute.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.extrapolation.rays import fit_rays
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> n = np.tile(np.geomspace(1e7, 1e9, 6), 2)
    >>> d = n * np.repeat([20, 160], 6)
    >>> table = pd.DataFrame({"params": n, "tokens": d, "loss": 1.7 + 400 / n**0.3 + 410 / d**0.3})
    >>> rays = fit_rays(usable_rows(table))
    >>> [round(ray.tokens_per_param) for ray in rays.rays]
    [20, 160]
    >>> float(np.round(rays.predict(1e10, 2e11), 3))
    2.267
    >>> round(1.7 + 400 / 1e10**0.3 + 410 / 2e11**0.3, 3)
    2.267

    Args:
        rows: the usable rows of a table; rows of weight 0 are left out.
        floor: E of every ray where it is declared; 0 for power laws without a floor; None to fit
            one for each ray.
        prior: of E, where one is known.

    Raises:
        InputError: no ray has 4 runs that span a factor 10 and determine such a law.
    """
    if not rows.has_size_and_data:
        raise InputError(
            "rays need the loss of every run with its params and tokens: use a table that has these"
        )
    groups = list(_groups(rows))
    found = [_ray(rows, index, floor, prior) for index in groups]
    rays = tuple(ray for ray in found if isinstance(ray, Ray))
    left_out = tuple(ray for ray in found if isinstance(ray, LeftOut))
    if not rays:
        longest = left_out[int(np.argmax([len(index) for index in groups]))]
        raise InputError(
            f"none of the {len(left_out)} rays of tokens per parameter gives a law; the ray of "
            f"most runs, at {longest.tokens_per_param:.3g}, gives none since {longest.reason}: add "
            "runs on a ray, or use a law of params and tokens"
        )
    return Rays(rays, left_out, rows.compute)


def _groups(rows: Rows) -> Iterator[np.ndarray]:
    """Indices of the rows of each ray, ascending in tokens per parameter.

    Rows are split at the widest gap until every group is narrow.
    """
    used = np.flatnonzero(rows.weight > 0)
    log_ratio = np.log(rows.tokens / rows.params)
    waiting = [used[np.argsort(log_ratio[used], kind="stable")]]
    while waiting:
        index = waiting.pop()
        gaps = np.diff(log_ratio[index])
        if gaps.sum() <= np.log(_WIDTH):
            yield index
        else:
            after = int(gaps.argmax()) + 1
            waiting += [index[after:], index[:after]]


def _ray(rows: Rows, index: np.ndarray, floor: float | None, prior: Prior | None) -> Ray | LeftOut:
    flops = rows.flops[index]
    ratio = float(np.exp(np.log(rows.tokens[index] / rows.params[index]).mean()))
    span = float(flops.max() / flops.min())
    if len(index) < _LEAST_RUNS or span < _LEAST_SPAN:
        reason = (
            f"it has {len(index)} runs over a factor {span:.3g} in compute, of {_LEAST_RUNS} runs "
            f"over a factor {_LEAST_SPAN:g} that are needed"
        )
        return LeftOut(ratio, reason)
    try:
        law = fit_power(flops, rows.loss[index], floor, prior)
    except InputError as error:
        return LeftOut(ratio, str(error))
    return Ray(ratio, law, (float(flops.min()), float(flops.max())), len(index))
