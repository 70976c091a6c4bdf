"""The names and sizes of TPU slices and GPU nodes that programs can be compiled for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.accounting.hardware import CHIPS, Chip
from scaling_jax.accounting.hardware import chip as chip_named
from scaling_jax.errors import InputError, nearest

# Slices that Cloud TPU offers, from the pages of each version in its documentation.
_SQUARE = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBIC = (
    *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16"),
    *("8x16x16", "16x16x16"),
)
_SLICES = {"v4": _CUBIC, "v5e": _SQUARE, "v5p": (*_CUBIC, "16x16x24"), "v6e": _SQUARE}
_SLICES["tpu7x"] = _CUBIC
_NODES = {"h100": ("1", "2", "4", "8"), "h200": ("1", "2", "4", "8")}

# Prefix of gcloud's accelerator types, and the units per chip that their number counts.
_ACCELERATOR_TYPES = {
    "v4": ("v4", 2),
    "v5e": ("v5litepod", 1),
    "v5p": ("v5p", 2),
    "v6e": ("v6e", 1),
}


@dataclass(frozen=True)
class Topology:
    """A TPU slice or a GPU node.

    Attributes:
        chip: the kind of chip.
        dims: number of chips along each axis of a TPU slice; a GPU node has one axis.
    """

    chip: Chip
    dims: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name that `parse` reads, such as `v5e:4x4`."""
        return f"{self.chip.name}:{'x'.join(map(str, self.dims))}"

    @property
    def n_chips(self) -> int:
        """Number of chips."""
        return math.prod(self.dims)

    @property
    def platform(self) -> str:
        """JAX's name for the platform: `gpu` or `tpu`."""
        return self.chip.platform

    @classmethod
    def parse(cls, text: str) -> "Topology":
        """The topology of a name `CHIP:DIMS`, such as `v5e:4x4`, or of gcloud's accelerator type.

        Raises:
            InputError: no such topology; the message lists the names that exist.
        """
        known = dict(_named())
        key = text.strip().lower()
        if key in known:
            return known[key]
        chip, _, _ = key.partition(":")
        if chip in {**_SLICES, **_NODES}:
            names = [name for name in known if name.startswith(f"{chip}:")]
            raise InputError(f"topology {text!r} does not exist: {chip} has {', '.join(names)}")
        families = "; ".join(
            f"{chip}:{{{', '.join(all_dims)}}}" for chip, all_dims in {**_SLICES, **_NODES}.items()
        )
        raise InputError(
            f"topology {text!r} does not exist: there are {families}; slices also have gcloud's "
            f"names, such as v5litepod-16{nearest(key, known)}"
        )

    @classmethod
    def of(cls, hardware: str, n_chips: int) -> "Topology":
        """The slice or node of `n_chips` chips of one kind.

        Raises:
            InputError: no such topology; the message lists the numbers that exist.
        """
        kind = chip_named(hardware).name
        known = {
            found.n_chips: found for found in dict(_named()).values() if found.chip.name == kind
        }
        if not known:
            kinds = ", ".join({**_SLICES, **_NODES})
            raise InputError(f"nothing can be compiled for {hardware!r} here: there is {kinds}")
        if n_chips not in known:
            sizes = ", ".join(map(str, sorted(known)))
            raise InputError(f"{n_chips} chips of {kind} form no topology: choose one of {sizes}")
        return known[n_chips]

    def larger(self) -> "Iterator[Topology]":
        """Topologies with more chips of the same kind, fewest chips first."""
        alike = (found for found in dict(_named()).values() if found.chip == self.chip)
        return iter(sorted({t for t in alike if t.n_chips > self.n_chips}, key=lambda t: t.n_chips))


def _named() -> Iterator[tuple[str, Topology]]:
    for chip, all_dims in {**_SLICES, **_NODES}.items():
        for text in all_dims:
            topology = Topology(CHIPS[chip], tuple(map(int, text.split("x"))))
            yield topology.name, topology
            if chip in _ACCELERATOR_TYPES:
                prefix, per_chip = _ACCELERATOR_TYPES[chip]
                yield f"{prefix}-{topology.n_chips * per_chip}", topology
