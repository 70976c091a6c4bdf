"""The chips and memory that a run needs, from its plan."""

import math
from dataclasses import dataclass

from scaling_jax.accounting.hardware import Chip
from scaling_jax.accounting.memory import Spread, training_memory
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution

# Python, JAX and its compiler, beside the model.
_PROCESS_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Resources:
    """Accelerator chips, and bytes of the machine's own memory, for one run."""

    chips: int
    memory: int


def resources(config: RunConfig, execution: Execution, chip: Chip | None = None) -> Resources:
    """What `config` needs on a CPU or, given a `chip`, on the fewest of these that it fits on.

    A mesh whose sizes are given takes the product of its sizes.

    Raises:
        InputError: no number of chips that divides the batch is enough.
    """
    if chip is None:
        return Resources(0, _PROCESS_BYTES + _bytes(config, execution, 1))
    sizes = [size for size in execution.mesh.sizes.values() if size is not None]
    if (n_chips := math.prod(sizes)) > 1:
        return Resources(n_chips, 2 * _PROCESS_BYTES)
    n_chips = 1
    while config.smallest_batch % n_chips == 0:
        if _bytes(config, execution, n_chips) <= chip.usable_bytes:
            return Resources(n_chips, 2 * _PROCESS_BYTES)
        n_chips *= 2
    raise InputError(
        f"a run of batch_size {config.batch_size} and {config.shape.n_layers} layers of width "
        f"{config.shape.d_model} does not fit on {n_chips // 2} {chip.name}: choose a mesh "
        "(--fsdp, --tensor), --remat or --accumulate"
    )


def _bytes(config: RunConfig, execution: Execution, n_chips: int) -> int:
    sequences = max(1, config.batch_size // n_chips // execution.microbatches)
    spread = Spread(sequences, microbatches=execution.microbatches, state=n_chips)
    needed = training_memory(
        config.shape,
        spread,
        precision=config.precision,
        optimizer=config.optimizer.name,
        average=config.optimizer.averages,
        remat=execution.policy,
    )
    return needed.total
