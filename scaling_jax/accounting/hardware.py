"""Peak FLOP/s, memory and bandwidth of chips; utilization and duration of a run.

Peaks are dense (no structured sparsity) and per chip, from the vendors' published figures:

- TPU v4, v5e, v5p, v6e, TPU7x: the chip pages of the Cloud TPU documentation; v4's interconnect
  (six links of 50 GB/s each way) Jouppi et al. 2023 (arXiv 2304.01433).
- A100: NVIDIA A100 datasheet. H100: H100 SXM datasheet. H200: H200 SXM datasheet.
  B200: HGX B200 figures of the Blackwell architecture brief (1,000 W).

The usable memory of a TPU is the limit in its compiler's out-of-memory message (libtpu 0.0.42).
On a GPU it is three quarters of the memory, which JAX allocates by default
(`XLA_PYTHON_CLIENT_MEM_FRACTION` changes that).

The peak in `float32_fast` is that of JAX's default precision of matrix products: one bfloat16 pass
on a TPU, TensorFloat-32 on an NVIDIA GPU. In `float32` a TPU makes six bfloat16 passes, and a GPU
does without tensor cores. A CPU's peak is not published in a usable form, so it is
measured by a short matrix product.
"""

import os
import time
from dataclasses import dataclass
from functools import cache

from scaling_jax.config import Precision
from scaling_jax.errors import InputError, nearest

GIB = 2**30
TERA = 1e12
GIGA = 1e9

# Model FLOP utilization; published dense training runs report roughly 0.35 to 0.55.
TYPICAL_UTILIZATION = 0.4

_LEAST_PRODUCTS = 10
_MEASURED_SIZE = 1024
_MEASURED_SECONDS = 0.15


@dataclass(frozen=True)
class Chip:
    """Published figures of an accelerator chip, or measured ones of this machine's CPUs.

    Attributes:
        name: the name that `chip` looks up.
        bfloat16_flops, float32_flops, float32_fast_flops: peak dense FLOP/s of the whole chip.
        memory_bytes: memory of the whole chip.
        usable_bytes: memory that a program can use.
        bandwidth: memory bandwidth in bytes/s, None for a CPU.
        interconnect: bytes/s between the chips of a slice or node, summed over all links of one
            chip and both directions; None for a CPU.
        device_kinds: prefixes of JAX's `device_kind` for this chip.
        jax_devices: number of JAX devices on one chip.
    """

    name: str
    bfloat16_flops: float
    float32_flops: float
    float32_fast_flops: float
    memory_bytes: int
    usable_bytes: int
    bandwidth: float | None
    interconnect: float | None
    device_kinds: tuple[str, ...] = ()
    jax_devices: int = 1

    @property
    def platform(self) -> str:
        """JAX's name for the platform: `cpu`, `gpu` or `tpu`."""
        if not self.device_kinds:
            return "cpu"
        return "gpu" if self.device_kinds[0].startswith("NVIDIA") else "tpu"

    def peak_flops(self, precision: Precision) -> float:
        """Peak FLOP/s of one chip for matrix products in `precision`."""
        return {
            "bfloat16": self.bfloat16_flops,
            "float32": self.float32_flops,
            "float32_fast": self.float32_fast_flops,
        }[precision]


_GPU_SHARE = 0.75
_TPU_FLOAT32_PASSES = 6


def _tpu(
    name: str,
    tflops: float,
    gib: int,
    usable_gib: float,
    gbps: float,
    links_gbps: float,
    *kinds: str,
    cores: int = 1,
) -> Chip:
    memory = (gib * GIB, int(usable_gib * GIB), gbps * GIGA, links_gbps * GIGA)
    peak = tflops * TERA
    return Chip(name, peak, peak / _TPU_FLOAT32_PASSES, peak, *memory, kinds, cores)


def _gpu(
    name: str,
    tflops: float,
    tf32: float,
    float32: float,
    gib: int,
    gbps: float,
    links_gbps: float,
    kind: str,
) -> Chip:
    memory = (gib * GIB, int(_GPU_SHARE * gib * GIB), gbps * GIGA, links_gbps * GIGA)
    return Chip(name, tflops * TERA, float32 * TERA, tf32 * TERA, *memory, (kind,))


# A longer kind must be listed before its prefix ("TPU v5 lite" before "TPU v5").
CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        _tpu("v4", 275, 32, 30.75, 1228, 600, "TPU v4"),
        _tpu("v5e", 197, 16, 15.75, 819, 400, "TPU v5 lite", "TPU v5e"),
        _tpu("v5p", 459, 95, 95.74, 2765, 1200, "TPU v5"),
        _tpu("v6e", 918, 32, 31.25, 1638, 800, "TPU v6 lite", "TPU v6e"),
        _tpu("tpu7x", 2307, 192, 189.5, 7380, 1200, "TPU7x", "TPU v7x", cores=2),
        _gpu("a100-40gb", 312, 156, 19.5, 40, 1555, 600, "NVIDIA A100-SXM4-40GB"),
        _gpu("a100", 312, 156, 19.5, 80, 2039, 600, "NVIDIA A100"),
        _gpu("h100", 989, 494, 67, 80, 3350, 900, "NVIDIA H100"),
        _gpu("h200", 989, 494, 67, 141, 4800, 900, "NVIDIA H200"),
        _gpu("b200", 2250, 1100, 75, 180, 8000, 1800, "NVIDIA B200"),
    )
}
_ALIASES = {"trillium": "v6e", "ironwood": "tpu7x", "v7x": "tpu7x", "a100-80gb": "a100"}


def chip(name: str) -> Chip:
    """The chip called `name`, in upper or lower case.

    `cpu` measures this machine, which takes about half a second.

    Raises:
        InputError: an unknown name; the message suggests the nearest ones.
    """
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key == "cpu":
        return _measured_cpu()
    if key not in CHIPS:
        known = [*CHIPS, *_ALIASES, "cpu"]
        raise InputError(
            f"hardware {name!r} is unknown: there is {', '.join(known)}{nearest(key, known, 3)}"
        )
    return CHIPS[key]


def local_chip() -> Chip | None:
    """The chip of JAX's default device; None if `CHIPS` does not list it."""
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return _measured_cpu()
    return chip_of_kind(device.device_kind)


def chip_of_kind(device_kind: str) -> Chip | None:
    """The chip of JAX's `device_kind`; None if `CHIPS` does not list it."""
    for known in CHIPS.values():
        if device_kind.lower().startswith(tuple(kind.lower() for kind in known.device_kinds)):
            return known
    return None


def local_peak_flops(precision: Precision) -> float | None:
    """Peak FLOP/s summed over all JAX devices; None if `CHIPS` does not list the chip."""
    import jax

    devices = jax.devices()
    if devices[0].platform == "cpu":
        # Virtual CPU devices share one machine's cores; every process counts as a machine.
        # The two float32 precisions are one on a CPU.
        measured: Precision = "bfloat16" if precision == "bfloat16" else "float32"
        return measured_cpu_flops(measured) * jax.process_count()
    found = chip_of_kind(devices[0].device_kind)
    if found is None:
        return None
    return found.peak_flops(precision) * len(devices) / found.jax_devices


def mfu(
    flops: float, seconds: float, on: Chip, *, precision: Precision = "bfloat16", n_chips: int = 1
) -> float:
    """Model FLOP utilization: `flops` in `seconds` as a fraction of the peak of `n_chips`."""
    return flops / (seconds * on.peak_flops(precision) * n_chips)


def training_seconds(
    flops: float,
    on: Chip,
    *,
    precision: Precision = "bfloat16",
    n_chips: int = 1,
    utilization: float = TYPICAL_UTILIZATION,
) -> float:
    """Seconds that `flops` take on `n_chips` at a model FLOP utilization of `utilization`.

    Raises:
        InputError: a utilization outside (0, 1], or fewer than one chip.
    """
    if not 0 < utilization <= 1:
        raise InputError(f"utilization {utilization} must lie above 0 and at most at 1")
    if n_chips < 1:
        raise InputError(f"{n_chips} chips must be at least 1")
    return flops / (on.peak_flops(precision) * n_chips * utilization)


@cache
def measured_cpu_flops(precision: Precision) -> float:
    """FLOP/s of this machine, measured by the fastest of several 1,024 x 1,024 matrix products."""
    import jax
    import jax.numpy as jnp

    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
        matrix = jnp.ones((_MEASURED_SIZE, _MEASURED_SIZE), dtype)
        product = jax.jit(jnp.matmul).lower(matrix, matrix).compile()
        fastest, end = float("inf"), time.perf_counter() + _MEASURED_SECONDS
        n = 0
        # On a busy machine one product can outlast the time, which says nothing of the peak.
        while n < _LEAST_PRODUCTS or time.perf_counter() < end:
            n += 1
            start = time.perf_counter()
            product(matrix, matrix).block_until_ready()
            fastest = min(fastest, time.perf_counter() - start)
    return 2 * _MEASURED_SIZE**3 / fastest


def _measured_cpu() -> Chip:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    bfloat16, float32 = measured_cpu_flops("bfloat16"), measured_cpu_flops("float32")
    peaks = (bfloat16, float32, float32)
    return Chip("cpu", *peaks, memory, memory, bandwidth=None, interconnect=None)
