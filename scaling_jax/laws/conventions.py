"""Conventions that every step from a table to a decision shares: units, and how far to look."""

from typing import Literal, get_args

# Compute, size and tokens on every frontier: C = 6 N D (Kaplan et al. 2020, section 2.1, forward
# and backward pass of every weight; Hoffmann et al. 2022, section 3.3).
FLOPS_PER_PARAM_TOKEN = 6

# Kaplan et al. 2020 count compute in PF-days: 1e15 FLOP/s for a day.
PF_DAY = 1e15 * 24 * 3600

# Reports extrapolate to this many times the largest compute that was fitted: far enough to show
# whether the data carry an extrapolation, near enough for a next study.
BEYOND = 10.0

# Which parameters N counts, and the column of a table that holds each count.
Count = Literal["total", "non_embedding", "active"]
COUNTS: tuple[Count, ...] = get_args(Count)
PARAMS_COLUMN: dict[Count, str] = {
    "total": "params",
    "non_embedding": "params_non_embedding",
    "active": "params_active",
}
