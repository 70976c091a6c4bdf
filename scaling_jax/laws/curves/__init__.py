"""Losses along a run: where a run will end, judged by the curves of finished runs.

`run_ends` compares runs of one schedule over sizes and lengths, `predict_end` runs of one model
over schedules and lengths.

Here: what reads whole curves. Not here: approach 1, which reads curves for the optimal size
(`laws.approaches`), and laws of runs' ends (`laws.catalogue`).
"""

from scaling_jax.laws.curves.loss_to_loss import LossToLoss as LossToLoss
from scaling_jax.laws.curves.loss_to_loss import loss_to_loss as loss_to_loss
from scaling_jax.laws.curves.run_ends import RunEnd as RunEnd
from scaling_jax.laws.curves.run_ends import run_ends as run_ends
from scaling_jax.laws.curves.schedule_ends import CurveEnd as CurveEnd
from scaling_jax.laws.curves.schedule_ends import predict_end as predict_end
from scaling_jax.laws.curves.schedule_law import ScheduleLaw as ScheduleLaw
from scaling_jax.laws.curves.schedule_law import fit_schedule_law as fit_schedule_law
from scaling_jax.laws.curves.scheduled import ScheduledCurve as ScheduledCurve
from scaling_jax.laws.curves.scheduled import read_curve as read_curve
