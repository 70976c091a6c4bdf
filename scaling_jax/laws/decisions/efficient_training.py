"""When training stops by L(N, S) of Kaplan et al. 2020 (arXiv 2001.08361), appendix B.

With L = A / N^alpha_N + B / S^alpha_S at one batch, the least compute to a loss is spent by a model
that stops at the share alpha_N / alpha_S above the loss to which it would converge.
"""

import math
from dataclasses import dataclass

from scaling_jax.laws.decisions.checks import require_positive


@dataclass(frozen=True)
class EfficientTraining:
    """Training with the least compute, beside training to near convergence, to the same loss.

    Attributes:
        excess: share by which efficient training stops above its converged loss.
        converged_excess: the same of the training that it is compared with.
        size_ratio: size of the efficient model over that of the other.
        steps_ratio: its steps over those of the other.
        compute_ratio: its compute over that of the other; the product of the two.
    """

    excess: float
    converged_excess: float
    size_ratio: float
    steps_ratio: float
    compute_ratio: float


def efficient_training(
    alpha_N: float, alpha_S: float, converged_excess: float = 0.02
) -> EfficientTraining:
    """How efficient training compares with stopping at `converged_excess` above convergence.

    >>> found = efficient_training(alpha_N=0.077, alpha_S=0.76)
    >>> f"{found.excess:.2f} {found.size_ratio:.2g} {found.steps_ratio:.2g}"
    '0.10 2.7 0.13'

    Raises:
        InputError: an exponent or an excess that is not positive.
    """
    require_positive("alpha_N", alpha_N, "fit curves of several sizes")
    require_positive("alpha_S", alpha_S, "fit curves without their warm-up")
    require_positive("converged_excess", converged_excess, "give a share of the loss, such as 0.02")
    excess, other = alpha_N / alpha_S, converged_excess
    size = ((1 + excess) / (1 + other)) ** (1 / alpha_N)
    # A loss L has a converged loss of L / (1 + f), so the steps make up L f / (1 + f).
    steps = (excess / (1 + excess) / (other / (1 + other))) ** (-1 / alpha_S)
    return EfficientTraining(excess, other, size, steps, size * steps)


@dataclass(frozen=True)
class Crossing:
    """Where the loss of the least compute meets the loss that its data allow (section 6.3).

    Attributes:
        compute: C*, in the unit of the given laws.
        tokens: D*.
        loss: L*, nats per token.
    """

    compute: float
    tokens: float
    loss: float


def crossing(
    loss_of_compute: tuple[float, float],
    tokens_of_compute: tuple[float, float],
    loss_of_tokens: tuple[float, float],
) -> Crossing:
    """The compute at which L(C) of efficient training equals L(D) of the data it reads.

    Beyond it the laws contradict each other. It is very sensitive to their exponents: these are
    the published ones, of which Kaplan et al. give C* as about 1e4 PF-days, uncertain by an order
    of magnitude either way.

    >>> found = crossing((3.1e8, 0.050), (4e10, 0.26), (5.4e13, 0.095))
    >>> f"{found.compute:.1e} PF-days, {found.tokens:.1e} tokens, loss {found.loss:.2f}"
    '1.1e+05 PF-days, 8.1e+11 tokens, loss 1.49'

    Args:
        loss_of_compute: C_c and alpha_C of L = (C_c / C)^alpha_C.
        tokens_of_compute: D_e and p of D = D_e C^p.
        loss_of_tokens: D_c and alpha_D of L = (D_c / D)^alpha_D.

    Raises:
        InputError: constants that are not positive, or laws that do not cross because L(C) does
            not fall faster than L(D(C)).
    """
    (c_c, alpha_c), (d_e, p), (d_c, alpha_d) = loss_of_compute, tokens_of_compute, loss_of_tokens
    for name, value in {"C_c": c_c, "D_e": d_e, "D_c": d_c}.items():
        require_positive(name, value, "give the scale of a fitted power law")
    difference = alpha_c - alpha_d * p
    require_positive("alpha_C - alpha_D p", difference, "laws that do not cross have no such point")
    log_c = (alpha_c * math.log(c_c) - alpha_d * math.log(d_c / d_e)) / difference
    tokens = d_e * math.exp(p * log_c)
    return Crossing(math.exp(log_c), tokens, (d_c / tokens) ** alpha_d)
