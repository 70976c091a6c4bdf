"""Architectures: what counts, shards and builds each of them, in one table.

Belongs here: parameters, FLOPs and logical axes of each architecture, and users' own modules.
Does not: the modules that this package defines (`model`), and sums over a run (`accounting`).
"""

from scaling_jax.architectures.own import OwnArchitecture as OwnArchitecture
from scaling_jax.architectures.own import own_module as own_module
from scaling_jax.architectures.registry import ARCHITECTURES as ARCHITECTURES
from scaling_jax.architectures.registry import Architecture as Architecture
from scaling_jax.architectures.registry import architecture_of as architecture_of
