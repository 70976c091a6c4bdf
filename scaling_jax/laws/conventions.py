"""Conventions that every step from a table to a decision shares: units, and how far to look."""

import math
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

# Runs of one budget differ by less in C, so a relation that misses C by less is as good.
MOST_MISFIT = math.log(1.15)


@dataclass(frozen=True)
class Compute:
    """What a table's C is, the same for every approach: `C = factor (N + offset)^power D`.

    Counts of FLOPs that include attention, or leave out the embedding, are not 6 N D: they grow
    with N by another power, or by a constant besides.

    Attributes:
        source: the column that holds C, `flops` or `budget`, or `6 N D` where none does.
        factor, power, offset: the relation of C to N and D. Exact for 6 N D, fitted to the rows' C
            otherwise.
        misfit: the largest log of a row's C over the relation.
    """

    source: str = "6 N D"
    factor: float = FLOPS_PER_PARAM_TOKEN
    power: float = 1.0
    offset: float = 0.0
    misfit: float = 0.0

    def of(self, params: Values, tokens: Values) -> Values:
        """C of runs of N and D, elementwise."""
        return self.factor * (params + self.offset) ** self.power * tokens  # type: ignore[no-any-return, operator]

    @property
    def is_six_n_d(self) -> bool:
        """Whether C is 6 N D, wherever it comes from."""
        return (self.factor, self.power, self.offset) == (FLOPS_PER_PARAM_TOKEN, 1.0, 0.0)

    @property
    def column(self) -> str:
        """Where C comes from, in words."""
        return {"flops": "the column flops", "budget": "the budget"}.get(self.source, self.source)

    @property
    def relation(self) -> str:
        """C in terms of N and D, such as `90 N^0.9 D`."""
        size = f"(N + {self.offset:.3g})" if self.offset else "N"
        power = "" if self.power == 1 else f"^{self.power:.3g}"
        return f"{self.factor:.3g} {size}{power} D"

    @property
    def undetermined(self) -> str:
        """Why no optimum at a given C follows from a law of N and D; empty where one does."""
        if self.misfit < MOST_MISFIT:
            return ""
        return (
            f"C is {self.column}, which params and tokens do not determine (C = {self.relation} "
            f"misses rows by up to {100 * math.expm1(self.misfit):.3g} %), so that no optimum at a "
            "C follows from a law of these two: use approach 2, or leave the column out to take "
            "C = 6 N D"
        )


SIX_N_D = Compute()

# Runs of one length end on whole steps of their batches, so up to this factor apart.
SAME_LENGTH = 1.02

# A law of training curves holds after an initial transient, so a curve counts from this share of
# its tokens.
SETTLED = 0.1
