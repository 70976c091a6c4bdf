"""The steps after which runs of several batch sizes first reach a loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Curve:
    """A curve as tokens at which the lowest loss so far falls.

    `seed` is that of the run, and 0 where a table has no seeds.
    """

    params: float
    seed: int
    batch_tokens: float
    log_tokens_P: np.ndarray
    least_P: np.ndarray

    @classmethod
    def of(cls, rows: "pd.DataFrame") -> "Curve":
        """The curve of one run's rows."""
        rows = rows.sort_values("tokens")
        last = rows.iloc[-1]
        return cls(
            float(last["params"]),
            int(last.get("seed", 0)),
            # Rounded, so that runs of one batch have equal quotients at every step.
            float(f"{last['tokens'] / last['step']:.9g}"),
            np.log(rows["tokens"].to_numpy(float)),
            np.minimum.accumulate(rows["loss"].to_numpy(float)),
        )

    def tokens_to(self, loss: float) -> float | None:
        """Tokens at which the loss is first reached; None if never, or before the second point."""
        after = int(np.argmax(self.least_P <= loss))
        if after == 0:
            return None
        x_2, y_2 = (values[after - 1 : after + 1] for values in (self.log_tokens_P, self.least_P))
        return float(np.exp(x_2[0] + (y_2[0] - loss) / (y_2[0] - y_2[1]) * (x_2[1] - x_2[0])))


# By size and loss: ascending batches in tokens, and the steps that each takes.
Points = dict[tuple[float, float], tuple[np.ndarray, np.ndarray]]


def chosen_losses(runs: Sequence[Curve], n: int) -> list[float]:
    """Evenly spaced losses in the last quarter of the range that every run passes.

    Raises:
        InputError: no runs, fewer than one loss, or no loss that every run passes.
    """
    if n < 1 or not runs:
        raise InputError(f"{n} target losses of {len(runs)} runs: give at least one of each")
    high = min(run.least_P[0] for run in runs)
    low = max(run.least_P[-1] for run in runs)
    if not low < high:
        raise InputError(
            f"every run must pass the target losses, but one ends at {low:.4g} and another begins "
            f"at {high:.4g}: evaluate earlier and more often, or give target losses"
        )
    return [float(loss) for loss in np.linspace(low + 0.25 * (high - low), low, n)]


def check_reached(runs: Sequence[Curve], losses: Sequence[float]) -> None:
    """Check that some run reaches every loss.

    Raises:
        InputError: no run reaches one of them.
    """
    lowest = min((run.least_P[-1] for run in runs), default=np.inf)
    for loss in losses:
        if not loss >= lowest:
            raise InputError(
                f"no run reaches the target loss {loss:.4g}: the lowest on the curves is "
                f"{lowest:.4g}; raise the target or train longer"
            )


def steps_to(runs: Sequence[Curve], losses: Sequence[float]) -> Points:
    """The batches of each size that reach each loss with every seed, and their steps.

    The fastest run of a batch and seed counts, since learning rates are tried for the best of them.
    Over seeds the steps are geometric means: the fastest seed alone would be faster by luck.
    """
    points: Points = {}
    for params in sorted({run.params for run in runs}):
        of_size = [run for run in runs if run.params == params]
        by_batch = {
            batch: [run for run in of_size if run.batch_tokens == batch]
            for batch in sorted({run.batch_tokens for run in of_size})
        }
        for loss in losses:
            means = {batch: _mean_steps(same, loss) for batch, same in by_batch.items()}
            reached = {batch: steps for batch, steps in means.items() if steps < np.inf}
            points[params, loss] = np.array(list(reached)), np.array(list(reached.values()))
    return points


def _mean_steps(runs: Sequence[Curve], loss: float) -> float:
    """The geometric mean over seeds of the fewest steps; infinite where a seed never gets there."""
    fewest: dict[int, float] = {}
    for run in runs:
        tokens = run.tokens_to(loss)
        steps = np.inf if tokens is None else tokens / run.batch_tokens
        fewest[run.seed] = min(steps, fewest.get(run.seed, np.inf))
    return float(np.exp(np.log(list(fewest.values())).mean()))
