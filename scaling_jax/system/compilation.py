"""Compiled programs kept on disk between processes."""

import hashlib
import platform
from pathlib import Path

import jax

from scaling_jax import data
from scaling_jax.system.cores import affinity


def use_compilation_cache() -> None:
    """Keep what JAX compiles in the user's cache, unless JAX has been given another place.

    To be called before the first compilation of a process.
    """
    if jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    directory = data.default_cache_dir() / "compiled" / _machine()
    jax.config.update("jax_compilation_cache_dir", str(directory))
    # Small programs take a second or two each to compile, too little for JAX's own threshold.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _machine() -> str:
    """A name for what programs are compiled for, beyond what JAX tells apart.

    A program for a CPU depends on its instruction set and on the number of threads, neither of
    which is in JAX's key: one for another machine may crash, one for other threads changes
    the order of sums.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = [line for line in lines if line.startswith(("model name", "flags", "Features"))][:2]
    text = " ".join([platform.machine(), platform.processor(), *flags, str(len(affinity()))])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
