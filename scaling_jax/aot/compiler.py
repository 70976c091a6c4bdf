"""Compilation of a training step for chips that this machine does not have."""

import dataclasses
import time
from typing import Any

import jax

from scaling_jax.accounting import flops
from scaling_jax.aot.collectives import collectives
from scaling_jax.aot.refusal import needed_bytes
from scaling_jax.aot.report import ChipMemory, Report, StepFlops, lower_bounds
from scaling_jax.aot.targets import devices_of
from scaling_jax.aot.topology import Topology
from scaling_jax.architectures.products import product_flops
from scaling_jax.config import RunConfig
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, chosen_execution
from scaling_jax.train.mesh import layout_rules, mesh_for
from scaling_jax.train.programs import resolved_on, traced_training


def compile_here(config: RunConfig, execution: Execution, topology: Topology) -> Report:
    """Compile the training step of `config` for `topology` in this process.

    The process must have been started with `launch.environment`.

    Raises:
        InputError: the run does not divide over the chips, or the compiler is not installed.
    """
    devices = devices_of(topology)
    execution = chosen_execution(config, execution, Chips(topology.chip, topology.n_chips))
    mesh = mesh_for(
        config.shape,
        config.smallest_batch,
        execution.mesh,
        devices,
        accumulate=execution.microbatches,
    )
    # The report is about one step with one update, even if several would be dispatched together.
    config, run_id = dataclasses.replace(config, batch_ramp=None), config.run_id
    resolved = resolved_on(mesh, dataclasses.replace(execution, steps_per_dispatch=1), config)
    traced = traced_training(config, mesh, resolved)
    with layout_rules(mesh):
        lowered = traced.lower()
    start = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        memory = _refused(str(error), topology)
        if memory is None:
            raise
        compiled = None
    else:
        memory = _planned(compiled.memory_analysis(), topology)
    seconds = time.perf_counter() - start
    counts = _counts(config, traced.jaxpr.jaxpr, compiled, len(devices))
    exchanged = collectives(compiled.as_text(), len(devices)) if compiled else []
    bounds = None
    if compiled:
        written = topology.chip.jax_devices * compiled.memory_analysis().output_size_in_bytes
        bounds = lower_bounds(topology, config.precision, counts, memory, written, exchanged)
    return Report(
        topology=topology.name,
        n_chips=topology.n_chips,
        run_id=run_id,
        params=flops.count_params(config.shape).total,
        batch_size=config.batch_size,
        tokens_per_step=config.tokens_per_step,
        precision=config.precision,
        mesh=dict(mesh.shape),
        execution=dataclasses.asdict(resolved),
        compile_seconds=seconds,
        memory=memory,
        flops=counts,
        collectives=exchanged,
        bounds=bounds,
    )


def _planned(plan: Any, topology: Topology) -> ChipMemory:
    per_chip = topology.chip.jax_devices
    # Outputs reuse the memory of donated arguments, except those that could not be aliased.
    extra = plan.output_size_in_bytes - plan.alias_size_in_bytes
    parts = {
        "arguments": per_chip * plan.argument_size_in_bytes,
        "temporaries": per_chip * (plan.temp_size_in_bytes + extra),
        "code": per_chip * plan.generated_code_size_in_bytes,
    }
    return ChipMemory(sum(parts.values()), topology.chip.usable_bytes, **parts)


def _refused(message: str, topology: Topology) -> ChipMemory | None:
    needed = needed_bytes(message)
    if needed is None:
        return None
    per_chip = topology.chip.jax_devices
    return ChipMemory(per_chip * needed, topology.chip.usable_bytes, parts_known=False)


def _counts(config: RunConfig, jaxpr: Any, compiled: Any, n_devices: int) -> StepFlops:
    analysis = (compiled.cost_analysis() if compiled else None) or {}
    per_device = analysis.get("flops")
    products = product_flops(jaxpr)
    return StepFlops(
        exact=flops.training_flops(config.shape, config.tokens_per_step),
        causal=flops.training_flops(config.shape, config.tokens_per_step, causal=True),
        program=products.total,
        kernels=products.kernels,
        once=product_flops(jaxpr, loops_once=True).plain,
        xla=per_device * n_devices if per_device else None,
    )
