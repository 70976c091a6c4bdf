"""Conventions that every step from a table to a decision shares: units, and how far to look."""

from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

# Compute, size and tokens on every frontier: C = 6 N D (Kaplan et al. 2020, section 2.1, forward
# and backward pass of every weight; Hoffmann et al. 2022, section 3.3).
FLOPS_PER_PARAM_TOKEN = 6

# Kaplan et al. 2020 count compute in PF-days: 1e15 FLOP/s for a day.
PF_DAY = 1e15 * 24 * 3600

# Reports extrapolate to this many times the largest compute that was fitted: far enough to show
# whether the data carry an extrapolation, near enough for a next study.
BEYOND = 10.0

# Refits behind an interval, and the share of them that the interval holds.
DRAWS = 1000
LEVEL = 0.9

# A budget's minimum is the minimum of a curve through its own runs, or of a surface through all.
Method = Literal["parabola", "window", "akima"]
METHODS: tuple[Method, ...] = get_args(Method)
ReadOff = Method | Literal["surface"]
READ_OFFS: tuple[ReadOff, ...] = (*METHODS, "surface")

# Which parameters N counts, and the column of a table that holds each count.
Count = Literal["total", "non_embedding", "active"]
COUNTS: tuple[Count, ...] = get_args(Count)
PARAMS_COLUMN: dict[Count, str] = {
    "total": "params",
    "non_embedding": "params_non_embedding",
    "active": "params_active",
}

Values = TypeVar("Values")


@dataclass(frozen=True)
class Compute:
    """What a table's C is, the same for every approach: `C = factor N^power D`.

    Counts of FLOPs that include attention, or leave out the embedding, are not 6 N D, and grow
    with N by another power.

    Attributes:
        source: the column that holds C, `flops` or `budget`, or `6 N D` where none does.
        factor, power: the relation of C to N and D. Exact for 6 N D, fitted to the rows' C
            otherwise.
    """

    source: str = "6 N D"
    factor: float = FLOPS_PER_PARAM_TOKEN
    power: float = 1.0

    def of(self, params: Values, tokens: Values) -> Values:
        """C of runs of N and D, elementwise."""
        return self.factor * params**self.power * tokens  # type: ignore[no-any-return, operator]


SIX_N_D = Compute()
