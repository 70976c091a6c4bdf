"""The environment variables of a worker process."""

import os
import platform

# The CPU backend allocates and frees large temporaries at every dispatch, and glibc's allocator
# by default gives them back to the kernel each time; these settings keep them. Measured on one
# core: 1.25 times as fast for 1M parameters at 8,192 tokens a step, 1.03 times for 0.1M at 4,096.
ALLOCATOR_TUNABLES = {
    "glibc.malloc.hugetlb": "1",
    "glibc.malloc.mmap_max": "0",
    "glibc.malloc.trim_threshold": "16000000000",
    "glibc.malloc.top_pad": "67108864",
}


def worker_environment() -> dict[str, str]:
    """This process's environment, on the CPU backend and with a patient allocator."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    if platform.libc_ver()[0] == "glibc":
        environment["GLIBC_TUNABLES"] = merge_tunables(environment.get("GLIBC_TUNABLES", ""))
    return environment


def merge_tunables(theirs: str) -> str:
    """The user's `GLIBC_TUNABLES` with ours added where theirs say nothing."""
    set_already = {item.partition("=")[0] for item in theirs.split(":")}
    ours = [f"{k}={v}" for k, v in ALLOCATOR_TUNABLES.items() if k not in set_already]
    return ":".join([theirs, *ours] if theirs else ours)
