"""A compiled step's report as text and as plain data."""

import dataclasses
from typing import Any

from scaling_jax import formatting
from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot.report import Report
from scaling_jax.text_table import Table


def report_text(report: Report) -> str:
    """Lines with everything but the single collectives, which `exchange_table` lists."""
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
    return "\n".join(lines)


def report_data(report: Report) -> dict[str, Any]:
    """The report as plain data, with what follows from its numbers."""
    return dataclasses.asdict(report) | {
        "fits": report.memory.fits,
        "largest_mfu": report.largest_mfu,
        "step_seconds_at_least": report.bounds and report.bounds.step,
    }


def _mesh(report: Report) -> str:
    return ",".join(f"{axis}={n}" for axis, n in report.mesh.items() if n > 1) or "of one device"


def _choices(report: Report) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in report.execution.items() if name != "mesh"
    )


def _memory(report: Report) -> str:
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


def refusal(report: Report) -> str:
    """Why a run that does not fit cannot be trained there, and what would make it fit."""
    text = f"run {report.run_id} does not fit on {report.topology}: it needs {_memory(report)}"
    if not report.advice:
        return f"{text}; nothing that this package can change is estimated to make it fit"
    return f"{text}. Estimated to fit: {'; '.join(report.advice)}"


def exchange_table(report: Report) -> Table:
    """One row per kind of collective: how often it runs and how many bytes it sends."""
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
