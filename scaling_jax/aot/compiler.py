"""Compilation of a run's programs for chips that this machine does not have."""

import dataclasses
import resource
import time
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import Mesh

from scaling_jax.accounting import flops
from scaling_jax.aot.collectives import collectives
from scaling_jax.aot.refusal import needed_bytes
from scaling_jax.aot.report import ChipMemory, Program, ProgramName, Report, StepFlops, lower_bounds
from scaling_jax.aot.targets import devices_of
from scaling_jax.aot.topology import Topology
from scaling_jax.architectures.products import product_flops
from scaling_jax.config import RunConfig
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, chosen_execution
from scaling_jax.train.digest import traced_digest
from scaling_jax.train.evaluation import make_evaluation
from scaling_jax.train.held_out import n_evaluated_at_once
from scaling_jax.train.mesh import mesh_for
from scaling_jax.train.overlap import compile_overlapped
from scaling_jax.train.traced import (
    evaluation_key,
    key_of,
    lowered,
    resolved_on,
    state_of,
    traced_evaluation,
    traced_start,
    traced_training,
)


def compile_here(
    config: RunConfig, execution: Execution, topology: Topology, step_alone: bool = False
) -> Report:
    """Compile the programs of `config` for `topology` in this process, or its step alone.

    The process must have been started with `launch.environment`. If the step does not fit, no
    other program is compiled.

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
    run_id, single = config.run_id, dataclasses.replace(config, batch_ramp=None)
    resolved = resolved_on(mesh, execution, config)
    one_step = dataclasses.replace(resolved, steps_per_dispatch=1)
    traced = traced_training(single, mesh, one_step)
    compiled, memory, seconds = _compiled(traced, mesh, topology)
    counts = _counts(config, traced.jaxpr.jaxpr, compiled, len(devices))
    exchanged = collectives(compiled.as_text(), len(devices)) if compiled else []
    bounds = None
    if compiled:
        written = topology.chip.jax_devices * compiled.memory_analysis().output_size_in_bytes
        bounds = lower_bounds(topology, config.precision, counts, memory, written, exchanged)
    others: list[Program] = []
    if memory.fits and not step_alone:
        del compiled, traced
        others = list(_others(config, resolved, mesh, topology))
    return Report(
        topology=topology.name,
        n_chips=topology.n_chips,
        run_id=run_id,
        params=flops.count_params(config.shape).total,
        batch_size=config.batch_size,
        tokens_per_step=config.tokens_per_step,
        precision=config.precision,
        mesh=dict(mesh.shape),
        execution=dataclasses.asdict(one_step),
        compile_seconds=seconds,
        memory=memory,
        flops=counts,
        collectives=exchanged,
        bounds=bounds,
        others=others,
        compiler_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


def _others(
    config: RunConfig, resolved: Execution, mesh: Mesh, topology: Topology
) -> Iterator[Program]:
    """The programs of a run beside its step, each with the training state in memory."""
    key = key_of(config, resolved)
    if (resolved.steps_per_dispatch or 1) > 1 or config.batch_ramp is not None:
        yield _program("steps", traced_training(config, mesh, resolved), mesh, topology)
    state = state_of(key.spec, mesh)
    restore = _program("restore", traced_digest(state), mesh, topology)
    yield restore
    yield _program("start", traced_start(key, mesh), mesh, topology)
    n_windows = config.n_held_out_windows
    at_once = n_evaluated_at_once(config, [n_windows] * config.n_held_out_sets)
    held_out = evaluation_key(key.spec, n_windows, at_once, mesh)
    traced = traced_evaluation(held_out, mesh, make_evaluation)
    # The evaluation takes the parameters alone; the rest of the state stays in memory.
    yield _program("evaluation", traced, mesh, topology, restore.memory.arguments)


def _program(
    name: ProgramName, traced: Any, mesh: Mesh, topology: Topology, state: int = 0
) -> Program:
    """A program whose arguments count as at least `state` bytes."""
    _, memory, seconds = _compiled(traced, mesh, topology)
    if memory.parts_known and memory.arguments < state:
        needed = memory.needed + state - memory.arguments
        memory = dataclasses.replace(memory, needed=needed, arguments=state)
    return Program(name, memory, seconds)


def _compiled(traced: Any, mesh: Mesh, topology: Topology) -> tuple[Any, ChipMemory, float]:
    """The program, its needs, and the compiler's seconds; None for a program that does not fit."""
    lowered_ = lowered(traced, mesh)
    start = time.perf_counter()
    try:
        compiled = compile_overlapped(lowered_, mesh)
    except jax.errors.JaxRuntimeError as error:
        memory = _refused(str(error), topology)
        if memory is None:
            raise
        compiled = None
    else:
        memory = planned(compiled.memory_analysis(), topology)
    return compiled, memory, time.perf_counter() - start


def planned(plan: Any, topology: Topology) -> ChipMemory:
    """A program's needs by the compiler's `plan`, which `memory_analysis` of JAX returns."""
    per_chip = topology.chip.jax_devices
    arguments = plan.argument_size_in_bytes
    # Outputs reuse the memory of donated arguments, except those that could not be aliased.
    extra = plan.output_size_in_bytes - plan.alias_size_in_bytes
    temporaries = plan.temp_size_in_bytes + extra
    # A TPU's plan lists more temporaries than the chip's memory ever holds: the compiler accepts a
    # program of which they and the arguments would need 17.2 of 15.75 GiB. The peak, arguments
    # included, is what it lays out; in programs of a few million parameters it counts the scratch
    # memory too, and is the larger of the two.
    if plan.peak_memory_in_bytes > 0:
        temporaries = min(temporaries, max(0, plan.peak_memory_in_bytes - arguments))
    parts = {
        "arguments": per_chip * arguments,
        "temporaries": per_chip * temporaries,
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
