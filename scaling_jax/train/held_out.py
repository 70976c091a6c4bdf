"""Losses of a run's parameters on its held-out sets, at points of the curve and at the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import LogSpaced
from scaling_jax.runs.details import HeldOutDetails, details_of
from scaling_jax.runs.held_out import HeldOutLoss, held_out_loss
from scaling_jax.train.inputs import HeldOut
from scaling_jax.train.programs import Evaluation

# The loss of each held-out sequence, `loss_N`, by the name of its set.
Losses = Mapping[str, np.ndarray]


def n_evaluated_at_once(config: RunConfig, windows: Sequence[int]) -> int:
    """Number of windows for which the evaluation program is compiled; sets have `windows` each."""
    every = config.eval_every
    # Where points of runs, or sets, differ in their windows, one batch suits all, and runs share
    # the program.
    if (isinstance(every, LogSpaced) and every.share) or len(set(windows)) > 1:
        return 1
    return windows[0] if every is None else min(windows[0], config.n_curve_windows)


class HeldOutSets:
    """The held-out sets of runs that share a program.

    One program evaluates them all. A point of the curve takes windows of a set that are evenly
    spread over those of the end. `of_tokens` gives the evaluation of every target, which only runs
    with details need.
    """

    def __init__(
        self,
        sets: Mapping[str, HeldOut],
        evaluate: Evaluation,
        of_tokens: Callable[[], Evaluation],
    ) -> None:
        self._sets, self._evaluate, self._of_tokens = sets, evaluate, of_tokens

    def at_point(self, params: Any, config: RunConfig) -> dict[str, HeldOutLoss]:
        """The losses of `params` at a point of the curve of a run of `config`."""
        return self.means(
            {
                name: self._evaluate(params, _of_curve(text.tokens_NxT1, config))
                for name, text in self._sets.items()
            }
        )

    def at_end(self, params: Any) -> Losses:
        """The losses of `params` on every window."""
        # By one program, as for a finished run's model, so that both have the same last bits.
        evaluate = replace(self._evaluate, rest=None)
        return {name: evaluate(params, text.tokens_NxT1) for name, text in self._sets.items()}

    def details(self, params: Any, losses: Losses) -> dict[str, HeldOutDetails]:
        """The losses of `params` by window, which are `losses`, and by position."""
        measure = self._of_tokens()
        return {
            name: details_of(losses[name], measure(params, text.tokens_NxT1), text.tokens_NxT1)
            for name, text in self._sets.items()
        }

    def means(self, losses: Losses) -> dict[str, HeldOutLoss]:
        """The mean losses of the sets on these windows."""
        return {
            name: held_out_loss(loss_N, self._sets[name].bytes_per_token)
            for name, loss_N in losses.items()
        }

    def last_point(self, losses: Losses, config: RunConfig) -> dict[str, HeldOutLoss]:
        """The last point of the curve, given the losses of all windows at the end."""
        return self.means({name: _of_curve(loss_N, config) for name, loss_N in losses.items()})


def _of_curve(of_windows: np.ndarray, config: RunConfig) -> np.ndarray:
    """The rows of `of_windows`, one for each window of the end, at points of a run's curve."""
    n = len(of_windows)
    # Without points before the end, the last point is that of all windows.
    n_of_curve = n if config.eval_every is None else min(n, config.n_curve_windows)
    return of_windows[np.linspace(0, n - 1, n_of_curve).round().astype(np.int64)]
