"""A compiled step's report as text and as plain data."""

import dataclasses
from typing import Any

from scaling_jax import formatting
from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot.report import ChipMemory, ProgramName, Report
from scaling_jax.text_table import Table

_NAMES: dict[ProgramName, str] = {
    "step": "step",
    "steps": "steps of one dispatch",
    "evaluation": "evaluation",
    "start": "initialization",
    "restore": "check of a restored checkpoint",
}


def report_text(report: Report) -> str:
    """Lines with everything but the single collectives, which `exchange_table` lists."""
    counts, bounds = report.flops, report.bounds
    lines = [
        f"run                 {report.run_id}: {formatting.count(report.params)} parameters, "
        f"{report.batch_size} sequences or {report.tokens_per_step:,} tokens a step, "
        f"{report.precision}",
        f"chips               {report.n_chips} of {report.topology}, mesh {_mesh(report)}",
        f"computed by         {_choices(report)}",
        f"memory per chip     {needs(report.memory)}",
        f"fits                {'yes' if report.fits else 'NO'}",
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
    if report.overlapped is not None:
        lines.append(
            f"overlapped          {report.overlapped:.0%} of the sent bytes: the program computes "
            "while they are sent"
        )
    lines.append(
        f"compiled in         {formatting.seconds(report.compile_seconds)}".replace(" ", " ")
    )
    return "\n".join(lines)


def report_blocks(report: Report) -> list[str | Table]:
    """The report as text and tables: its programs, then what the chips exchange."""
    blocks: list[str | Table] = [report_text(report), "", program_table(report)]
    return [*blocks, "", exchange_table(report)] if report.collectives else blocks


def report_data(report: Report) -> dict[str, Any]:
    """The report as plain data, with what follows from its numbers."""
    return dataclasses.asdict(report) | {
        "fits": report.fits,
        "overlapped": report.overlapped,
        "largest_mfu": report.largest_mfu,
        "step_seconds_at_least": report.bounds and report.bounds.step,
    }


def _mesh(report: Report) -> str:
    return ",".join(f"{axis}={n}" for axis, n in report.mesh.items() if n > 1) or "of one device"


def _choices(report: Report) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in report.execution.items() if name != "mesh"
    )


def needs(memory: ChipMemory) -> str:
    """What a program needs, and of how much."""
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
    largest = report.largest
    who = "it" if largest.name == "step" else f"its {_NAMES[largest.name]}"
    text = f"run {report.run_id} does not fit on {report.topology}: {who} needs "
    text += needs(largest.memory)
    if not report.advice:
        return f"{text}; nothing that this package can change is estimated to make it fit"
    return f"{text}. Estimated to fit: {'; '.join(report.advice)}"


def program_table(report: Report) -> Table:
    """One row per program: what it needs while the training state is in memory."""
    rows = [
        (
            _NAMES[one.name],
            _gib(one.memory.needed) if one.memory.needed else "-",
            *(
                _gib(part) if one.memory.parts_known else "-"
                for part in (one.memory.arguments, one.memory.temporaries, one.memory.code)
            ),
            "yes" if one.memory.fits else "NO",
            formatting.seconds(one.compile_seconds),
        )
        for one in report.programs
    ]
    columns = ("program", "GiB", "state and batch", "temporaries", "code", "fits", "compiled in")
    return Table(columns, rows, left=("program", "fits"))


def exchange_table(report: Report) -> Table:
    """One row per kind of collective: how often it runs and how many bytes it sends."""
    rows = [
        (
            one.kind,
            f"{one.group_size}",
            f"{one.count:,}",
            f"{one.bytes / 1e6:,.1f}",
            f"{one.sent_bytes / 1e6:,.1f}",
            f"{one.overlapped_bytes / one.sent_bytes:.0%}" if one.sent_bytes else "-",
        )
        for one in report.collectives
    ]
    first = "each step, each chip"
    columns = (first, "among", "times", "MB whole", "MB sent at least", "overlapped")
    return Table(columns, rows, left=(first,))


def _gib(n_bytes: int) -> str:
    return formatting.significant(n_bytes / GIB)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
