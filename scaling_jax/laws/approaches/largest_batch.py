"""The critical batch at a checkpoint, from branches with several batches on the same tokens.

Merrill et al. 2025 (arXiv 2505.23971): the critical batch is the largest one whose loss, after a
window of tokens that is the same for all, exceeds that of no smaller batch by more than a
tolerance.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("trunk", "step", "batch_tokens", "loss")
_DRAWS = 1000
# Constants of the curve whose residuals show the noise.
_CONSTANTS = 3


def largest_batch(
    branches: "pd.DataFrame",
    *,
    tolerance: float = 0.01,
    noise: float | None = None,
    level: float = 0.95,
) -> "pd.DataFrame":
    """The largest batch whose loss is within a tolerance of every smaller batch's, in tokens.

    One row for each checkpoint. `critical_batch` is where the loss, linear in the logarithm of the
    batch between branches, leaves the tolerance; `within` is the largest batch that was tried and
    is within it, and `beyond` the smallest that is not. Where no batch is beyond it,
    `critical_batch` is the largest that was tried and its upper end is infinite. The interval
    (`low`, `high`) comes from draws of the losses with a standard deviation `noise`.

    >>> import pandas as pd
    >>> from scaling_jax import laws
    >>> batch = [1e3, 2e3, 4e3, 8e3, 16e3]
    >>> table = pd.DataFrame({"trunk": "a", "step": 100, "batch_tokens": batch})
    >>> table["loss"] = [2.0, 2.001, 2.003, 2.02, 2.08]
    >>> found = laws.largest_batch(table, noise=0.001)
    >>> found[["within", "beyond"]].values.tolist()
    [[4000.0, 8000.0]]

    Args:
        branches: one row per branch, with `trunk`, `step`, `batch_tokens` and `loss`. Rows without
            a loss, as of branches that diverged, are left out.
        tolerance: in nats per token; 0.01 as in the paper.
        noise: standard deviation of a branch's loss about what its batch determines. By default
            estimated from the residuals about a smooth curve in the batch, pooled over checkpoints,
            which needs a checkpoint with more than three batches.
        level: of the interval.

    Raises:
        InputError: a column is missing, a number is out of range, a checkpoint has fewer than two
            batches, or the noise cannot be estimated.
    """
    import pandas as pd

    missing = [name for name in _COLUMNS if name not in branches]
    if missing:
        raise InputError(f"the branches lack the column {missing[0]!r}: give branch_losses(store)")
    for name, value in (("tolerance", tolerance), ("noise", 0.0 if noise is None else noise)):
        if not 0 <= value < np.inf:
            raise InputError(f"{name} {value} must be finite and not negative")
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1")
    groups = _by_checkpoint(branches)
    sd = _noise(list(groups.values())) if noise is None else noise
    rng = np.random.default_rng(0)
    rows = []
    for (trunk, step), (batch_K, loss_K) in groups.items():
        drawn_DxK = loss_K + sd * rng.standard_normal((_DRAWS, len(loss_K)))
        ends = [_crossing(batch_K, drawn_K, tolerance) for drawn_K in drawn_DxK]
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(ends, tails, method="closest_observation")
        last = _last_within(loss_K, tolerance)
        rows.append(
            {
                "trunk": trunk,
                "step": step,
                "critical_batch": min(_crossing(batch_K, loss_K, tolerance), batch_K[-1]),
                "low": min(low, batch_K[-1]),
                "high": high,
                "within": batch_K[last],
                "beyond": batch_K[last + 1] if last + 1 < len(batch_K) else np.nan,
                "noise": sd,
            }
        )
    return pd.DataFrame(rows)


_Losses = tuple[np.ndarray, np.ndarray]


def _by_checkpoint(branches: "pd.DataFrame") -> dict[tuple[str, Any], _Losses]:
    """Batches, in ascending order, and their losses; branches of one batch are averaged."""
    groups = dict[tuple[str, Any], _Losses]()
    for (trunk, step), rows in branches.groupby(["trunk", "step"]):
        means = rows[rows["loss"].notna()].groupby("batch_tokens")["loss"].mean()
        if len(means) < 2:
            raise InputError(
                f"step {step} of run {trunk} has a loss for {len(means)} batch sizes: train at "
                "least two"
            )
        groups[str(trunk), step] = means.index.to_numpy(float), means.to_numpy(float)
    if not groups:
        raise InputError("there are no branches: train a study with the design BatchBranches")
    return groups


def _last_within(loss_K: np.ndarray, tolerance: float) -> int:
    """The last of the ascending batches up to which every loss is within the tolerance."""
    below_K = np.minimum.accumulate(loss_K)
    beyond_K = np.flatnonzero(loss_K[1:] > below_K[:-1] + tolerance)
    return int(beyond_K[0]) if len(beyond_K) else len(loss_K) - 1


def _crossing(batch_K: np.ndarray, loss_K: np.ndarray, tolerance: float) -> float:
    """Where the loss leaves the tolerance; infinite where it does not."""
    last = _last_within(loss_K, tolerance)
    if last == len(loss_K) - 1:
        return np.inf
    limit = loss_K[: last + 1].min() + tolerance
    share = (limit - loss_K[last]) / (loss_K[last + 1] - loss_K[last])
    return float(batch_K[last] * (batch_K[last + 1] / batch_K[last]) ** share)


def _noise(groups: list[_Losses]) -> float:
    """Standard deviation about the smooth curves of the checkpoints, pooled."""
    found = [_residual(*group) for group in groups if len(group[0]) > _CONSTANTS]
    if not found:
        raise InputError(
            "the noise of a loss cannot be estimated from three batches at a checkpoint or fewer: "
            "train more batch sizes, or give noise="
        )
    squares, free = map(sum, zip(*found, strict=True))
    return float(np.sqrt(squares / free))


def _residual(batch_K: np.ndarray, loss_K: np.ndarray) -> tuple[float, int]:
    """Sum of squares and degrees of freedom about the curve that describes the losses better.

    The curves are `L_0 + a B / (B + B_n)` and a cubic in log B. A step with B sequences gains
    1 / (1 + B_n / B) of what the best step gains (McCandlish et al. 2018, equation 2.6), and a
    window of tokens has a number of steps that is inverse to B. The cubic may also have a minimum,
    as where the noise of small batches keeps the loss up.
    """
    k, x_K = len(batch_K), np.log(batch_K / batch_K[0])
    scales_G = np.geomspace(batch_K[0] / 100, batch_K[-1] * 100, 400)
    x_GxK = batch_K / (batch_K + scales_G[:, None])
    centred_GxK = x_GxK - x_GxK.mean(axis=1, keepdims=True)
    rise_K = loss_K - loss_K.mean()
    explained_G = (centred_GxK @ rise_K) ** 2 / (centred_GxK**2).sum(axis=1)
    saturating = max(0.0, float(rise_K @ rise_K - explained_G.max())), k - _CONSTANTS
    if k <= _CONSTANTS + 1:
        return saturating
    rest_K = loss_K - np.polyval(np.polyfit(x_K, loss_K, 3), x_K)
    cubic = float(rest_K @ rest_K), k - _CONSTANTS - 1
    return min(saturating, cubic, key=lambda found: found[0] / found[1])
