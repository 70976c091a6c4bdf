"""The published optimal-allocation lines a study is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PF_DAY = 8.64e19  # FLOPs: 1e15 per second for a day
SIZES = (4e8, 1e9, 1e10, 6.7e10, 1.75e11, 2.8e11, 5.2e11, 1e12, 1e13)

# Hoffmann et al. 2022 (arXiv:2203.15556): (FLOPs, tokens) at which each of SIZES is optimal.
# Approach 1 is Table 3, approaches 2 and 3 are Table A3. That table prints 1.26e24 FLOPs for
# 175B under approach 3, out of order with its neighbours; the tokens beside it imply 1.26e25.
HOFFMANN = {
    1: (
        (1.92e19, 1.21e20, 1.23e22, 5.76e23, 3.85e24, 9.90e24, 3.43e25, 1.27e26, 1.30e28),
        (8.0e9, 2.02e10, 2.051e11, 1.5e12, 3.7e12, 5.9e12, 1.10e13, 2.12e13, 2.162e14),
    ),
    2: (
        (1.84e19, 1.20e20, 1.32e22, 6.88e23, 4.54e24, 1.18e25, 4.19e25, 1.59e26, 1.75e28),
        (7.7e9, 2.00e10, 2.195e11, 1.7e12, 4.3e12, 7.1e12, 1.33e13, 2.65e13, 2.920e14),
    ),
    3: (
        (2.21e19, 1.62e20, 2.46e22, 1.71e24, 1.26e25, 3.52e25, 1.36e26, 5.65e26, 8.55e28),
        (9.2e9, 2.71e10, 4.101e11, 4.1e12, 1.20e13, 2.01e13, 4.35e13, 9.41e13, 1.4255e15),
    ),
}


@dataclass(frozen=True)
class PaperLine:
    """A published law: optimum = scale · (FLOPs / unit) ** exponent, for N and for D."""

    label: str
    approach: int | None
    unit: float
    params_scale: float
    params_exponent: float
    tokens_scale: float
    tokens_exponent: float

    def params(self, flops: "np.ndarray") -> "np.ndarray":
        """The optimal parameter count at each budget."""
        return self.params_scale * (flops / self.unit) ** self.params_exponent

    def tokens(self, flops: "np.ndarray") -> "np.ndarray":
        """The optimal number of tokens at each budget."""
        return self.tokens_scale * (flops / self.unit) ** self.tokens_exponent


def paper_lines() -> tuple[PaperLine, ...]:
    """Hoffmann's three approaches and Kaplan's allocation.

    Hoffmann's are straight lines through the printed rows in log-log. Kaplan et al. 2020
    (arXiv:2001.08361), Table 6: N = 1.3e9 C^0.73 (without embeddings), D = 2e10 C^0.27, C in
    PF-days.
    """
    hoffmann = tuple(_hoffmann(approach) for approach in HOFFMANN)
    return (*hoffmann, PaperLine("Kaplan 2020, Table 6", None, PF_DAY, 1.3e9, 0.73, 2e10, 0.27))


def _hoffmann(approach: int) -> PaperLine:
    flops, tokens = HOFFMANN[approach]
    unit = 1e21
    n_scale, n_exponent = _power_law(flops, SIZES, unit)
    d_scale, d_exponent = _power_law(flops, tokens, unit)
    label = f"approach {approach}, Hoffmann 2022"
    return PaperLine(label, approach, unit, n_scale, n_exponent, d_scale, d_exponent)


def _power_law(flops: Sequence[float], values: Sequence[float], unit: float) -> tuple[float, float]:
    import numpy as np

    exponent, intercept = np.polyfit(np.log(np.asarray(flops) / unit), np.log(values), 1)
    return float(np.exp(intercept)), float(exponent)
