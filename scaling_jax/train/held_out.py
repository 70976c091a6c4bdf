"""Losses of a run's parameters on its held-out sets, at points of the curve and at the end."""

from collections.abc import Callable, Mapping
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


def n_evaluated_at_once(config: RunConfig, n_windows: int) -> int:
    """Number of windows for which the evaluation program is compiled."""
    every = config.eval_every
    if every is None:
        return n_windows
    # Where points of runs differ in their windows, one batch suits all, and runs share the program.
    return 1 if isinstance(every, LogSpaced) and every.share else config.n_curve_windows


class HeldOutSets:
    """The held-out sets of runs that share a program.

    All sets have the same number of windows, so that one program evaluates them all. A point of
    the curve takes windows that are evenly spread over those of the end. `of_tokens` gives the
    evaluation of every target, which only runs with details need.
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
        windows = _windows_of_curve(config)
        return self.means(
            {
                name: self._evaluate(params, text.tokens_NxT1[windows])
                for name, text in self._sets.items()
            }
        )

    def at_end(self, params: Any) -> Losses:
        """The losses of `params` on every window."""
        return {name: self._evaluate(params, text.tokens_NxT1) for name, text in self._sets.items()}

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
        windows = _windows_of_curve(config)
        return self.means({name: loss_N[windows] for name, loss_N in losses.items()})


def _windows_of_curve(config: RunConfig) -> np.ndarray:
    """The windows at points of a run's curve, among those of the end."""
    n = config.n_held_out_windows
    # Without points before the end, the last point is that of all windows.
    n_of_curve = n if config.eval_every is None else config.n_curve_windows
    return np.linspace(0, n - 1, n_of_curve).round().astype(np.int64)
