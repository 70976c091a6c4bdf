"""The compilers' words for a program that does not fit."""

import re

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"
# "Used 21.12G of 15.75G hbm", "memory required for HLO temporaries (216.30G) exceeds available
# HBM (15.75G)", "trying to allocate 12.5GiB", "Total hbm usage >= 21.37G".
_NEEDED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"Total hbm usage >= {_SIZE}",
        rf"Used {_SIZE} of {_SIZE} hbm",
        rf"\({_SIZE}\) exceeds available HBM",
        rf"allocate {_SIZE}i?B",
    )
)


def needed_bytes(message: str) -> int | None:
    """Bytes that a device would need, from a compiler's refusal; None if it is no refusal.

    Zero where the compiler refuses without saying how much is needed.
    """
    if "RESOURCE_EXHAUSTED" not in message:
        return None
    for pattern in _NEEDED:
        found = pattern.search(message)
        if found:
            return int(float(found[1]) * _UNITS[found[2]])
    return 0
