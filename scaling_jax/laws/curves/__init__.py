"""Losses along a run: where a run will end, judged by the curves of finished runs.

Here: what reads whole curves. Not here: approach 1, which reads curves for the optimal size
(`laws.approaches`), and laws of runs' ends (`laws.catalogue`).
"""

from scaling_jax.laws.curves.loss_to_loss import LossToLoss as LossToLoss
from scaling_jax.laws.curves.loss_to_loss import loss_to_loss as loss_to_loss
from scaling_jax.laws.curves.run_ends import RunEnd as RunEnd
from scaling_jax.laws.curves.run_ends import run_ends as run_ends
