"""What approaches 1 and 2 read off the data before they fit power laws."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.allocation import Interval


@dataclass(frozen=True)
class Minimum:
    """The minimum of one IsoFLOP curve.

    Attributes:
        budget: FLOPs of the group.
        params, tokens, loss: at the minimum of the parabola.
        params_interval: bootstrap interval; None where nothing was resampled.
        quadratic: (c0, c1, c2) of `loss = c0 + c1 ln N + c2 (ln N)^2`; None for a curve that is
            not a parabola.
    """

    budget: float
    params: float
    tokens: float
    loss: float
    params_interval: Interval | None
    quadratic: tuple[float, ...] | None


@dataclass(frozen=True)
class FrontierPoints:
    """Points of the envelope of training curves: what approach 1 fits."""

    flops: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Span:
    """From where to where a size has the lowest loss: FLOPs, tokens and loss at the two ends."""

    flops: Interval
    tokens: Interval
    loss: Interval


@dataclass(frozen=True)
class Stop:
    """Where Kaplan's rule stops a size.

    Attributes:
        converged: loss L(N, infinity) of the law fitted to the curves, nats per token.
        loss: that times 1 + alpha_N / alpha_S.
        flops, tokens: at which a curve of this size first reaches `loss`; None where none does.
    """

    converged: float
    loss: float
    flops: float | None
    tokens: float | None


@dataclass(frozen=True)
class EnvelopeSize:
    """One model size beside the envelope of training curves.

    Attributes:
        params: N.
        span: where it is the lowest; None where it never is.
        stop: where Kaplan's rule stops it; None where his law could not be fitted.
    """

    params: float
    span: Span | None
    stop: Stop | None
