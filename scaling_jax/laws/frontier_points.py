"""Points of the compute-optimal frontier, as approaches 1 and 2 measure them before a fit."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.allocation import Interval


@dataclass(frozen=True)
class Minimum:
    """The minimum of one IsoFLOP curve.

    Attributes:
        budget: FLOPs of the group.
        params, tokens, loss: N, D and nats per token at the minimum of the curve.
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
    """Points of the envelope of training curves, which approach 1 fits.

    Attributes:
        flops, params, tokens: C, N and D of every point, ascending in C.
        loss: nats per token of the lowest run.
    """

    flops: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Span:
    """The range over which a size has the lowest loss.

    Attributes:
        flops, tokens, loss: at the two ends, the smaller budget first.
    """

    flops: Interval
    tokens: Interval
    loss: Interval


@dataclass(frozen=True)
class Stop:
    """The point of training at which Kaplan's rule stops a size.

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
        span: the range over which the size has the lowest loss; None without one.
        stop: where Kaplan's rule stops the size; None where L(N, S) could not be fitted.
    """

    params: float
    span: Span | None
    stop: Stop | None
