"""How close to convergence to train, after Kaplan et al. 2020 (arXiv 2001.08361), appendix B.

Under L(N, S) = (N_c / N)^alpha_N + (S_c / S)^alpha_S a model is trained until its loss lies a share
f above the loss that it would reach with unlimited steps. `scaling_jax.laws.decisions.off_optimum`
computes, under the same law, the cost of a size that is not optimal.
"""

from dataclasses import dataclass

from scaling_jax.laws.decisions.checks import require_positive

_EXPONENT = "give the exponent of a power law that falls"


@dataclass(frozen=True)
class Stopping:
    """The cost of stopping at one excess over the converged loss, relative to another excess.

    Attributes:
        size, steps, compute: ratios at equal loss.
    """

    size: float
    steps: float
    compute: float


def efficient_excess(size_exponent: float, steps_exponent: float) -> float:
    """Share above the converged loss at which compute-efficient training stops: alpha_N / alpha_S.

    Raises:
        InputError: an exponent that is not positive.
    """
    require_positive("size_exponent", size_exponent, _EXPONENT)
    require_positive("steps_exponent", steps_exponent, _EXPONENT)
    return size_exponent / steps_exponent


def stopping_ratios(
    excess: float, other_excess: float, *, size_exponent: float, steps_exponent: float
) -> Stopping:
    """Size, steps and compute of stopping `excess` above convergence, over `other_excess` above.

    At equal loss N is proportional to (1 + f)^(1 / alpha_N) and S to ((1 + f) / f)^(1 / alpha_S);
    compute is N S at a fixed batch size.

    Raises:
        InputError: an excess or exponent that is not positive.
    """
    for name, value in (("excess", excess), ("other_excess", other_excess)):
        require_positive(name, value, "give a share of the converged loss, such as 0.02")
    require_positive("size_exponent", size_exponent, _EXPONENT)
    require_positive("steps_exponent", steps_exponent, _EXPONENT)
    size = ((1 + excess) / (1 + other_excess)) ** (1 / size_exponent)
    left = excess * (1 + other_excess) / (other_excess * (1 + excess))
    steps = left ** (-1 / steps_exponent)
    return Stopping(size=size, steps=steps, compute=size * steps)


def compute_exponent(size_exponent: float, steps_exponent: float, batch_exponent: float) -> float:
    """Exponent of the loss in compute, 1 / (1 / alpha_S + 1 / alpha_B + 1 / alpha_N).

    Raises:
        InputError: an exponent that is not positive.
    """
    exponents = (size_exponent, steps_exponent, batch_exponent)
    names = ("size_exponent", "steps_exponent", "batch_exponent")
    for name, value in zip(names, exponents, strict=True):
        require_positive(name, value, _EXPONENT)
    return 1 / sum(1 / value for value in exponents)
