"""`compile`: what a run needs of chips that are not here, from the compiler itself."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_jax import formatting
from scaling_jax.accounting import flops
from scaling_jax.accounting.hardware import GIB
from scaling_jax.cli.arguments import (
    ExecutionOptions,
    Json,
    ScaleOption,
    Settings,
    load_study,
    optional,
)
from scaling_jax.cli.exits import CommandFailed
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.cli.running import read_config
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.aot import Report
    from scaling_jax.config import RunConfig


def compile_(
    source: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="EXPERIMENT|CONFIG.json", help="a study, or a run's configuration"),
    ],
    /,
    *,
    topology: Annotated[
        str, tyro.conf.arg(metavar="CHIP:DIMS", help="v5e:4x4, v5p:4x4x4, v6e:2x2, h100:8, ...")
    ],
    run: Annotated[
        str | None, optional("which of a study's runs (default: the largest)", "RUN_ID")
    ] = None,
    scale: ScaleOption = "full",
    settings: Settings = (),
    execution: ExecutionOptions = DEFAULT,
    json: Json = False,
) -> None:
    """Compile a run's training step for chips that are not here and say what it needs of them.

    Memory on each chip, FLOPs, what the chips exchange, and the least time a step can take.
    Exit code 2 if it does not fit, with what would make it fit. Takes minutes for large models.
    """
    from scaling_jax.aot import CompilerFailed, Topology, compile_run

    wanted = Topology.parse(topology)
    config = _chosen(source, run, scale, settings)
    remark(f"compiling run {config.run_id} for {wanted.name}, which can take minutes ...")
    try:
        report = compile_run(config, execution, wanted)
    except CompilerFailed as failure:
        raise CommandFailed(str(failure)) from failure
    if json:
        print_json(as_json(report))
    else:
        print("\n".join(in_words(report)))
        if report.collectives:
            print()
            print_table(_exchanges(report))
    if not report.memory.fits:
        raise InputError(_does_not_fit(report))


def _chosen(source: Path, run: str | None, scale: Any, settings: tuple[str, ...]) -> "RunConfig":
    if source.suffix == ".json":
        if run is not None:
            raise InputError("--run chooses among a study's runs: leave it out with a CONFIG.json")
        return read_config(source)
    configs = [planned.config for planned in load_study(source, scale, settings).plan()]
    if run is None:
        return max(configs, key=lambda config: flops.count_params(config.shape).total)
    found = [config for config in configs if config.run_id.startswith(run)]
    if len(found) != 1:
        raise InputError(
            f"--run {run!r} names {len(found) or 'none'} of the study's {len(configs)} runs: "
            "scaling-jax plan --json lists their ids"
        )
    return found[0]


def in_words(report: "Report") -> list[str]:
    """Lines that say everything but the single collectives."""
    memory, counts, bounds = report.memory, report.flops, report.bounds
    lines = [
        f"run                 {report.run_id}: {formatting.count(report.params)} parameters, "
        f"{report.batch_size} sequences or {report.tokens_per_step:,} tokens a step, "
        f"{report.precision}",
        f"chips               {report.n_chips} of {report.topology}, mesh {_mesh(report)}",
        f"computed by         {_choices(report)}",
        f"memory per chip     {_memory(report)}",
        f"fits                {'yes' if memory.fits else 'NO'}",
        f"FLOPs per step      {formatting.flops(counts.exact)} in the model's matrix products, "
        f"{formatting.flops(counts.program)} in the program's ({counts.recomputed:.0%} more)",
    ]
    if counts.xla is not None:
        lines.append(
            f"  by the compiler   {formatting.flops(counts.xla)} with each loop's body counted "
            f"once and no kernels, where the program's products are {formatting.flops(counts.once)}"
        )
    if bounds is not None:
        lines += [
            f"step takes at least {_time(bounds.step)}: {bounds.limit} (compute "
            f"{_time(bounds.compute)}, memory {_time(bounds.memory)}, interconnect "
            f"{_time(bounds.interconnect)}, each alone at its published rate)",
            f"utilization         at most {report.largest_mfu:.0%} of the peak",
        ]
    lines.append(
        f"compiled in         {formatting.seconds(report.compile_seconds)}".replace(" ", " ")
    )
    return lines


def as_json(report: "Report") -> dict[str, Any]:
    """The report as plain data, what follows from it included."""
    return dataclasses.asdict(report) | {
        "fits": report.memory.fits,
        "largest_mfu": report.largest_mfu,
        "step_seconds_at_least": report.bounds and report.bounds.step,
    }


def _mesh(report: "Report") -> str:
    return ",".join(f"{axis}={n}" for axis, n in report.mesh.items() if n > 1) or "of one device"


def _choices(report: "Report") -> str:
    return ", ".join(
        f"{name} {value}" for name, value in report.execution.items() if name != "mesh"
    )


def _memory(report: "Report") -> str:
    memory = report.memory
    if not memory.needed:
        return f"more than the {_gib(memory.available)} GiB that a program can have"
    text = (
        f"{_gib(memory.needed)} GiB of the {_gib(memory.available)} GiB that a program can have "
        f"({memory.needed / memory.available:.0%})"
    )
    if not memory.parts_known:
        return text
    return (
        f"{text}: state and batch {_gib(memory.arguments)}, temporaries "
        f"{_gib(memory.temporaries)}, program {_gib(memory.code)}"
    )


def _does_not_fit(report: "Report") -> str:
    text = f"run {report.run_id} does not fit on {report.topology}: it needs {_memory(report)}"
    if not report.advice:
        return f"{text}; nothing that this package can change is estimated to make it fit"
    return f"{text}. Estimated to fit: {'; '.join(report.advice)}"


def _exchanges(report: "Report") -> Table:
    rows = [
        (
            one.kind,
            f"{one.group_size}",
            f"{one.count:,}",
            f"{one.bytes / 1e6:,.1f}",
            f"{one.sent_bytes / 1e6:,.1f}",
        )
        for one in report.collectives
    ]
    columns = ("each step, each chip", "among", "times", "MB whole", "MB sent at least")
    return Table(columns, rows, left=columns[:1])


def _gib(n_bytes: int) -> str:
    return formatting.significant(n_bytes / GIB)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
