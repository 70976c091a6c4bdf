"""What this machine has: Python, packages, devices, measured speed, memory, token cache."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from scaling_jax.accounting import hardware
from scaling_jax.system.environment import VARIABLE, training_environment

PACKAGES = (
    "scaling_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "pandas",
    "tensorflow-datasets",
    "ray",
    "submitit",
)


def examine() -> dict[str, Any]:
    """The facts about this machine as plain data; `describe` puts them into words.

    Measures the CPU's speed, which takes a second.
    """
    from scaling_jax.system.cores import usable_cores

    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cores": usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        **_devices(),
        "allocator": training_environment().get(VARIABLE),
        "cache": _cache(),
    }


def describe(found: dict[str, Any]) -> str:
    """The facts that `examine` found, as lines of text."""
    lines = [f"Python     {found['python']}"]
    versions = (
        f"{name} {version or '(not installed)'}" for name, version in found["packages"].items()
    )
    lines.append("packages   " + ", ".join(versions))
    lines.append(
        f"machine    {found['cores']} cores, {found['memory_bytes'] / hardware.GIB:.1f} GiB memory"
    )
    if "device_error" in found:
        lines.append(f"devices    none: {found['device_error']}")
    else:
        known = (
            f"known as {found['chip']}" if found["chip"] else "not a known chip: give --hardware"
        )
        lines.append(f"devices    {len(found['devices'])} x {found['device_kind']} ({known})")
        if found["chip"] == "cpu" and found["cores"] > 1:
            lines.append("           train makes one device of each core, unless a mesh is given")
        speeds = found["measured_cpu_flops"].items()
        measured = ", ".join(f"{speed / 1e9:.0f} GFLOP/s in {name}" for name, speed in speeds)
        lines.append(f"CPU speed  {measured}, measured")
    if found["allocator"]:
        lines.append(f"allocator  run, train and demo set {VARIABLE}={found['allocator']};")
        lines.append("           a program of your own trains faster when started with it")
    else:
        lines.append("allocator  not glibc's, so no settings are made")
    cache = found["cache"]
    state = "writable" if cache["writable"] else "NOT writable: set SCALING_JAX_CACHE"
    lines.append(f"cache      {cache['directory']} ({state})")
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        return {"devices": [], "device_error": str(error).splitlines()[0]}
    kind = devices[0].device_kind
    chip = hardware.chip_of_kind(kind)
    on_cpu = devices[0].platform == "cpu"
    return {
        "devices": [str(device) for device in devices],
        "device_kind": kind,
        "chip": "cpu" if on_cpu else chip.name if chip else None,
        "peak_flops": hardware.local_peak_flops("bfloat16"),
        "measured_cpu_flops": {
            "float32": hardware.measured_cpu_flops("float32"),
            "bfloat16": hardware.measured_cpu_flops("bfloat16"),
        },
    }


def _cache() -> dict[str, Any]:
    from scaling_jax.system.environment import default_cache_dir

    directory = default_cache_dir()
    return {"directory": str(directory), "writable": _is_writable(directory)}


def _is_writable(directory: Path) -> bool:
    """Whether the directory can be made or written."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)
