"""A cache of compiled programs on disk, shared by processes."""

import hashlib
import platform
from pathlib import Path

import jax

from scaling_jax.system.cores import affinity
from scaling_jax.system.environment import default_cache_dir


def use_compilation_cache() -> None:
    """Let JAX store compiled programs in the user's cache, unless JAX already has a directory.

    Call it before the process compiles anything.
    """
    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    directory = default_cache_dir() / "compiled" / _machine()
    jax.config.update("jax_compilation_cache_dir", str(directory))
    # Small programs take a second or two each to compile, too little for JAX's own threshold.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _machine() -> str:
    """A hash of the machine's CPU and its number of usable cores.

    A program for a CPU depends on the instruction set and on the number of threads, but JAX's
    cache key holds neither. A program compiled for another machine may crash, and one compiled
    for another number of threads adds in another order.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = [line for line in lines if line.startswith(("model name", "flags", "Features"))][:2]
    text = " ".join([platform.machine(), platform.processor(), *flags, str(len(affinity()))])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
