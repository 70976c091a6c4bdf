"""The loss that a curve has reached, with the noise of its single steps smoothed out."""

import numpy as np

# Standard deviation of the Gaussian, in the log of the tokens. Steps near the end of a partial
# curve say most, and the line through the logs follows the curve's fall between them.
_WIDTH = 0.8


def log_loss_at(share: float, share_T: np.ndarray, loss_T: np.ndarray) -> float:
    """The log of the loss at `share` of a run, from the points up to there alone.

    A line in the log of the tokens is fitted to the log losses, weighted by a Gaussian around
    `share`. The points after `share` are not looked at, so that a finished curve is read exactly
    as a curve that has come so far.

    Args:
        share: of the run's tokens, above 0.
        share_T: shares of the run's tokens at which it has a loss, ascending, above 0.
        loss_T: positive losses there.
    """
    past_T = share_T <= share * (1 + 1e-9)
    log_T = np.log(share_T[past_T] / share)
    # Points of a curve of every step are dense at its end: each counts for the log of the tokens
    # that it stands for, so that a curve of every step and a log-spaced curve weigh alike.
    spacing_T = np.gradient(log_T) if len(log_T) > 1 else np.ones(1)
    weight_T = np.sqrt(spacing_T * np.exp(-0.5 * (log_T / _WIDTH) ** 2))
    design_Tx2 = np.stack([np.ones_like(log_T), log_T], axis=1)
    line_2 = np.linalg.lstsq(
        weight_T[:, None] * design_Tx2, weight_T * np.log(loss_T[past_T]), rcond=None
    )[0]
    return float(line_2[0])
