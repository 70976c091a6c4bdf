"""Losses of a run's parameters on its held-out sets, at points of the curve and at the end."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import windows_of_curve
from scaling_jax.runs.held_out import HeldOutLoss, held_out_loss
from scaling_jax.train.inputs import HeldOut
from scaling_jax.train.programs import Evaluation

# The loss of each held-out sequence, `loss_N`, by the name of its set.
Losses = Mapping[str, np.ndarray]


def n_evaluated_at_once(config: RunConfig, n_windows: int) -> int:
    """Number of windows for which the evaluation program is compiled: those of a curve's point."""
    if config.eval_every is None:
        return n_windows
    return windows_of_curve(n_windows, config.shape.seq_len, config.curve_tokens)


class HeldOutSets:
    """The held-out sets of runs that share a program.

    All sets have the same number of windows, so that one program evaluates them all. A point of
    the curve takes windows that are evenly spread over those of the end.
    """

    def __init__(
        self, config: RunConfig, sets: Mapping[str, HeldOut], evaluate: Evaluation
    ) -> None:
        self._sets, self._evaluate = sets, evaluate
        n_windows = len(next(iter(sets.values())).tokens_NxT1)
        n_of_curve = n_evaluated_at_once(config, n_windows)
        self._curve = np.linspace(0, n_windows - 1, n_of_curve).round().astype(np.int64)

    def at_point(self, params: Any) -> dict[str, HeldOutLoss]:
        """The losses of `params` at a point of the curve."""
        return self.means(
            {
                name: self._evaluate(params, text.tokens_NxT1[self._curve])
                for name, text in self._sets.items()
            }
        )

    def at_end(self, params: Any) -> Losses:
        """The losses of `params` on every window."""
        return {name: self._evaluate(params, text.tokens_NxT1) for name, text in self._sets.items()}

    def means(self, losses: Losses) -> dict[str, HeldOutLoss]:
        """The mean losses of the sets on these windows."""
        return {
            name: held_out_loss(loss_N, self._sets[name].bytes_per_token)
            for name, loss_N in losses.items()
        }

    def last_point(self, losses: Losses) -> dict[str, HeldOutLoss]:
        """The last point of the curve, given the losses of all windows at the end."""
        return self.means({name: loss_N[self._curve] for name, loss_N in losses.items()})
