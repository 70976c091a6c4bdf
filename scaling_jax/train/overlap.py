"""Compilation of programs of several devices so that they compute while they exchange data."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import Mesh

# Options of XLA by platform. JAX's tips for the performance of GPUs recommend the scheduler. A TPU
# gathers parameters while it computes without being asked; by these options it also sums gradients
# meanwhile, and gathers what it would otherwise gather by a sum of zeros.
OPTIONS: dict[str, dict[str, bool]] = {
    "gpu": {"xla_gpu_enable_latency_hiding_scheduler": True},
    "tpu": {
        "xla_enable_async_all_reduce": True,
        "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": True,
        "xla_tpu_prefer_async_allgather_to_allreduce": True,
    },
}

# Where users set options of XLA and of its TPU compiler themselves.
_VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")


def overlap_options(
    platform: str, n_devices: int, environment: Mapping[str, str] = os.environ
) -> dict[str, bool]:
    """Options of XLA by which programs of `n_devices` devices overlap exchange and computation.

    An option that the user has set, in `XLA_FLAGS` or `LIBTPU_INIT_ARGS`, is left out. There are
    none for a single device or for CPUs.
    """
    if n_devices == 1:
        return {}
    words = " ".join(environment.get(name, "") for name in _VARIABLES).split()
    given = {word.removeprefix("--").partition("=")[0] for word in words}
    return {name: value for name, value in OPTIONS.get(platform, {}).items() if name not in given}


def compile_overlapped(lowered: Any, mesh: Mesh) -> Any:
    """The compiled program of `lowered`, under the `overlap_options` of the devices of `mesh`.

    A compiler that does not know one of the options compiles without any, with a warning.
    """
    options = overlap_options(mesh.devices.flat[0].platform, mesh.size)
    if not options:
        return lowered.compile()
    try:
        return lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        warnings.warn(
            f"this version of XLA lacks an option by which exchange overlaps computation: {error}",
            stacklevel=2,
        )
    return lowered.compile()
