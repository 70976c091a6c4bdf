"""Reports of runs that no compiler has seen."""

from scaling_jax.accounting import flops
from scaling_jax.aot import Report, Topology
from scaling_jax.aot.collectives import Collective
from scaling_jax.aot.report import ChipMemory, StepFlops, lower_bounds
from scaling_jax.config import RunConfig


def report_of(config: RunConfig, topology: Topology) -> Report:
    """The report of a run that needs 20 bytes a parameter."""
    params = flops.count_params(config.shape).total
    counts = StepFlops(
        exact=10**15,
        causal=95 * 10**13,
        program=4 * 10**15 // 3,
        kernels=10**14,
        once=10**14,
        xla=1e14,
    )
    exchanged = [Collective("all-gather", 16, 72, 10**9, 9 * 10**8, 6 * 10**8)]
    share = params // topology.n_chips
    parts = {"arguments": share * 12, "temporaries": share * 8, "code": 10**6}
    memory = ChipMemory(sum(parts.values()), topology.chip.usable_bytes, **parts)
    return Report(
        topology=topology.name,
        n_chips=topology.n_chips,
        run_id=config.run_id,
        params=params,
        batch_size=config.batch_size,
        tokens_per_step=config.tokens_per_step,
        precision="bfloat16",
        mesh={"replica": 1, "data": 1, "fsdp": topology.n_chips, "tensor": 1},
        execution={"remat": "full", "mesh": None},
        compile_seconds=12.5,
        memory=memory,
        flops=counts,
        collectives=exchanged,
        bounds=lower_bounds(topology, "bfloat16", counts, memory, 0, exchanged),
    )
