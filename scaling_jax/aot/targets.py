"""JAX devices of a topology that this machine does not have, described by its compiler."""

from importlib import util
from typing import Any

from scaling_jax.aot.topology import Topology
from scaling_jax.errors import InputError

# Module with the compiler of a platform, and the command that installs it.
_COMPILERS = {
    "tpu": ("libtpu", "pip install 'scaling_jax[tpu]'"),
    "gpu": ("jax_cuda12_plugin", "pip install 'scaling_jax[cuda]'"),
}

# Properties of a Hopper GPU as the CUDA driver reports them, from NVIDIA's CUDA C++ Programming
# Guide (technical specifications by compute capability) and the H100 datasheet.
_HOPPER = """
gpu_device_info {{
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  l2_cache_size: 52428800
  memory_bandwidth: {bandwidth:.0f}
  device_memory_size: {memory}
  cuda_compute_capability {{ major: 9 }}
  runtime_version: "12.8.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
device_description_str: "{kind}"
"""


def check_installed(topology: Topology) -> None:
    """Check that the compiler for the topology's chips is installed.

    Raises:
        InputError: it is not; the message gives the command that installs it.
    """
    module, install = _COMPILERS[topology.platform]
    if util.find_spec(module) is None:
        raise InputError(
            f"compiling for {topology.name} needs its compiler, which is not installed here and "
            f"runs on any Linux machine, with or without such chips: {install}"
        )


def devices_of(topology: Topology) -> list[Any]:
    """JAX devices of `topology`, for a mesh to compile for; they cannot hold arrays."""
    from jax.experimental import topologies

    chip = topology.chip
    if topology.platform == "gpu":
        assert chip.bandwidth is not None
        described = topologies.get_topology_desc(
            platform="cuda",
            topology=f"1x1x{topology.n_chips}",
            target_config=_HOPPER.format(
                bandwidth=chip.bandwidth, memory=chip.memory_bytes, kind=chip.device_kinds[0]
            ),
        )
        return list(described.devices)
    options: dict[str, Any] = {}
    if topology.n_chips == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    elif chip.name == "v4":
        # The two cores of a v4 chip are one JAX device, as on real chips.
        options = {"chip_config_name": "megacore", "chips_per_host_bounds": (2, 2, 1)}
    name = topology.name
    described = topologies.get_topology_desc(platform="tpu", topology_name=name, **options)
    return list(described.devices)
