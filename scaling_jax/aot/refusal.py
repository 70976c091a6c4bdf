"""Error messages of compilers for a program that does not fit in memory."""

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
    """Bytes of memory that a device would need, from a compiler's out-of-memory message.

    The result is None for any other message, and 0 if the message does not give a number.
    """
    if "RESOURCE_EXHAUSTED" not in message:
        return None
    for pattern in _NEEDED:
        found = pattern.search(message)
        if found:
            return int(float(found[1]) * _UNITS[found[2]])
    return 0
