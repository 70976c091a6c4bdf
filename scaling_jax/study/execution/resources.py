"""The chips and memory that a task asks a cluster for, by the estimate that `plan` shows."""

import math
from dataclasses import dataclass

from scaling_jax.accounting.hardware import Chip
from scaling_jax.accounting.hardware import chip as chip_named
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, estimated_memory, fewest_chips

# Python, JAX and its compiler, beside the model.
_PROCESS_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Resources:
    """Accelerator chips, and bytes of the machine's own memory, for one run."""

    chips: int
    memory: int


def resources(
    config: RunConfig, execution: Execution, chip: Chip | None = None, token_bytes: int = 0
) -> Resources:
    """What `config` needs on a CPU or, given a `chip`, on the fewest of these that it fits on.

    A mesh whose sizes are given takes the product of its sizes. The memory includes `token_bytes`,
    which the process keeps of tokens in a bucket.

    Raises:
        InputError: no number of chips that divides the batch is enough.
    """
    if chip is None:
        model = estimated_memory(config, execution, Chips(chip_named("cpu"))).total
        return Resources(0, _PROCESS_BYTES + model + token_bytes)
    memory = 2 * _PROCESS_BYTES + token_bytes
    sizes = [size for size in execution.mesh.sizes.values() if size is not None]
    if (n_devices := math.prod(sizes)) > 1:
        return Resources(-(-n_devices // chip.jax_devices), memory)
    n_chips = fewest_chips(config, execution, chip)
    if n_chips is None:
        raise InputError(
            f"a run of batch_size {config.batch_size} and {config.shape.n_layers} layers of width "
            f"{config.shape.d_model} does not fit on any number of {chip.name}, whatever is left "
            "to choose: choose another mesh (--fsdp, --tensor), --remat or --accumulate, or leave "
            "them out"
        )
    return Resources(n_chips, memory)
