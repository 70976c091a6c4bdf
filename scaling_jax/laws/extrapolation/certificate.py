"""Bounds of the optimal loss at a larger budget over all positive mixtures of power laws.

The class is `L(C) = E + integral C^-g dmu(g)` with `E >= 0` and a measure `mu >= 0` on a declared
range of exponents g. The power law with and without a floor, and every sum of power laws of these
exponents, are members. The least and the greatest loss at a target, over the members that pass
through the measured bands, are two linear programs in the weights of a grid of exponents
(the certificate of Xie 2026, github.com/jingxuxie/scaling-law-extrapolation).
"""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.extrapolation.bands import Bands, bands_of
from scaling_jax.laws.extrapolation.mixture_program import MixtureProgram
from scaling_jax.laws.tables.select import Rows

# Published exponents of the optimal loss in compute lie between 0.050 (Kaplan et al. 2020, no
# floor) and 0.178 (Besiroglu et al. 2024, alpha beta / (alpha + beta) above a floor); the class
# holds them and a factor of 2 beyond either.
EXPONENTS: Interval = (0.025, 0.36)


@dataclass(frozen=True)
class Certificate:
    """The range of the optimal loss at a budget over a class of laws.

    Attributes:
        flops: the target budget.
        low, high: the least and the greatest loss of any member that passes through the bands;
            None where the class is refuted.
        bands: the measured bands that members must pass through.
        exponents: the least and the greatest exponent of the class; a floor, exponent 0, is always
            in it.
        refuted: whether no member passes through all bands.
        inflation: the least factor by which the half-widths of the bands must grow for a member
            to pass through them; at most 1 where the class is not refuted.
        conflict: the budget whose band weighs most against a member; None unless refuted.
        grid_error: the largest share of the loss by which the grid of exponents may miss a member;
            `low` and `high` allow for it.
    """

    flops: float
    low: float | None
    high: float | None
    bands: Bands
    exponents: Interval
    refuted: bool
    inflation: float
    conflict: float | None
    grid_error: float

    def __str__(self) -> str:
        """A sentence with the range and the class, or the sentence that refutes the class."""
        least, most = self.exponents
        of_class = f"all positive mixtures of power laws C^-g with g in {least:g} to {most:g}, "
        if self.low is None or self.high is None:
            return (
                f"No positive mixture of power laws C^-g with g in {least:g} to {most:g} and a "
                f"floor passes through the optimal losses at {len(self.bands.flops)} budgets: "
                f"their intervals would have to be {self.inflation:.3g} times as wide. The budget "
                f"of {self.conflict:.3g} FLOPs conflicts most: look for a badly tuned run there "
                "and at the budgets beside it."
            )
        return (
            f"At {self.flops:.3g} FLOPs the optimal loss lies between {self.low:.4g} and "
            f"{self.high:.4g} for {of_class}with or without a floor, that pass through the optimal "
            f"losses of {len(self.bands.flops)} budgets."
        )


def certify(bands: Bands, target: float, exponents: Interval = EXPONENTS) -> Certificate:
    """The range of the optimal loss at `target` FLOPs over mixtures that pass through the bands.

    >>> from scaling_jax.laws.extrapolation.bands import measured_bands
    >>> from scaling_jax.laws.extrapolation.certificate import certify
    >>> flops = [1e18, 1e19, 1e20, 1e21]
    >>> loss = [1.7 + 1.3 * (c / 1e18) ** -0.15 for c in flops]
    >>> found = certify(measured_bands(flops, loss, [0.003] * 4), 1e22)
    >>> found.low < 1.7 + 1.3 * 1e4**-0.15 < found.high, found.refuted
    (True, False)

    Args:
        bands: what was measured.
        target: the budget asked about, in FLOPs.
        exponents: the range of exponents of the class, above 0.

    Raises:
        InputError: a target or a range that is not positive.
    """
    if not (np.isfinite(target) and target > 0):
        raise InputError(f"the target {target:g} FLOPs must be a positive number")
    if not 0 < exponents[0] < exponents[1] < np.inf:
        raise InputError(
            f"the exponents {exponents[0]:g} to {exponents[1]:g} must be an ascending range above "
            "0: a floor is always in the class"
        )
    program = MixtureProgram.of(bands, target, exponents)
    inflation, conflict = program.least_inflation()
    # A band met exactly is met, whatever the solver rounds.
    refuted = inflation > 1 + 1e-6
    low, high = (None, None) if refuted else program.extremes(max(inflation, 1.0))
    return Certificate(
        flops=target,
        low=low,
        high=high,
        bands=bands,
        exponents=exponents,
        refuted=refuted,
        inflation=inflation,
        conflict=bands.flops[conflict] if refuted else None,
        grid_error=float(max(program.grid_G.max(), program.grid_at_target)),
    )


def certify_rows(
    rows: Rows, target: float, level: float = LEVEL, exponents: Interval = EXPONENTS
) -> Certificate:
    """The range of the optimal loss at `target` FLOPs, from the minima of a table's budgets.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.extrapolation.certificate import certify_rows
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> budget = np.repeat([1e18, 1e19, 1e20, 1e21], 7)
    >>> n = np.tile(np.geomspace(0.25, 4, 7), 4) * np.sqrt(budget / 120)
    >>> d = budget / (6 * n)
    >>> table = pd.DataFrame({"params": n, "tokens": d, "budget": budget})
    >>> table["loss"] = 1.7 + 400 / n**0.34 + 410 / d**0.28
    >>> certificate = certify_rows(usable_rows(table), 1e22)
    >>> round(certificate.low, 2), round(certificate.high, 2)
    (2.14, 2.15)

    Args:
        rows: the usable rows of a table, in budgets.
        target: the budget asked about, in FLOPs.
        level: of all bands together.
        exponents: the range of exponents of the class, above 0.

    Raises:
        InputError: fewer than 3 budgets with a minimum between their smallest and largest size.
    """
    return certify(bands_of(rows, level), target, exponents)
