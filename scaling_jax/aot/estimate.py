"""Options with which a run that does not fit should fit, by estimate, without compiling."""

from dataclasses import replace

from scaling_jax.aot.topology import Topology
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import (
    MARGIN,
    Chips,
    chosen_execution,
    differences,
    estimated_memory,
)
from scaling_jax.mesh_spec import MeshSpec


def what_would_fit(
    config: RunConfig, execution: Execution, topology: Topology, share: float = 1.0
) -> list[str]:
    """Command-line options with which the run should fit, on the same chips and on more chips.

    `share` of the usable memory is counted on, less than 1 where the compiler needed more than the
    estimate.
    """
    here = options_that_fit(config, execution, Chips(topology.chip, topology.n_chips), share)
    found = [here] if here else []
    for larger in topology.larger():
        there = options_that_fit(config, execution, Chips(larger.chip, larger.n_chips), share)
        if there is not None:
            found.append(f"--topology {larger.name} {there}".rstrip())
            break
    return found


def options_that_fit(
    config: RunConfig, execution: Execution, chips: Chips, share: float = 1.0
) -> str | None:
    """Command-line options with which the run should fit; None if no options are enough.

    They change what is given of recomputation, microbatches and the mesh's `data` and `fsdp`.
    """
    free = replace(
        execution, remat=None, accumulate=None, mesh=MeshSpec(tensor=execution.mesh.tensor)
    )
    try:
        chosen = chosen_execution(config, free, chips, share)
    except InputError:
        return None
    device = estimated_memory(config, chosen, chips)
    if MARGIN * device.total * chips.chip.jax_devices > share * chips.chip.usable_bytes:
        return None
    return " ".join(differences(chosen, execution))
