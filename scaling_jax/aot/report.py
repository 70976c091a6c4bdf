"""The memory, FLOPs and communication of a compiled training step, and bounds on its time."""

from dataclasses import dataclass, field
from typing import Literal

from scaling_jax.accounting.hardware import mfu
from scaling_jax.aot.collectives import Collective
from scaling_jax.aot.topology import Topology
from scaling_jax.config import Precision

# The programs of a run: one step, the steps of one dispatch, the evaluation of held-out text, the
# initialization, and what checks a restored state against its checksum.
ProgramName = Literal["step", "steps", "evaluation", "start", "restore"]


@dataclass(frozen=True)
class ChipMemory:
    """Bytes of memory on one chip during a step.

    Attributes:
        needed: total, from the compiled program or from the compiler's out-of-memory message.
        available: memory that a program can use.
        arguments: training state and batch, which are in memory between steps too.
        temporaries: activations, gradients and scratch space.
        code: the program.
        parts_known: whether the compiler reported the parts. Otherwise it refused the program, and
            `needed` is what its message says, which may be 0 or only a part.
    """

    needed: int
    available: int
    arguments: int = 0
    temporaries: int = 0
    code: int = 0
    parts_known: bool = True

    @property
    def fits(self) -> bool:
        """Whether the program fits in the available memory."""
        return self.parts_known and self.needed <= self.available


@dataclass(frozen=True)
class Program:
    """One compiled program of a run.

    Attributes:
        name: what the program does.
        memory: needs of the program and of the training state, which is in memory meanwhile.
        compile_seconds: wall time of the compiler.
    """

    name: ProgramName
    memory: ChipMemory
    compile_seconds: float


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of one step, summed over all chips.

    Attributes:
        exact: matrix products of the model, forward and backward, as counted by `flops.py`.
        causal: `exact` without the attention scores that the causal mask hides.
        program: matrix products of the traced step, with recomputation, every iteration of loops
            and every block of attention kernels.
        kernels: the part of `program` in attention kernels.
        once: matrix products outside kernels, with the body of each loop counted once.
        xla: the compiler's own count, which includes element-wise operations, counts the body of
            each loop once and omits kernels; None if the compiler gives no count.
    """

    exact: int
    causal: int
    program: int
    kernels: int
    once: int
    xla: float | None

    @property
    def recomputed(self) -> float:
        """FLOPs of recomputation as a fraction of `exact`."""
        return self.program / self.exact - 1

    @property
    def least(self) -> float:
        """Lower bound of the FLOPs: causal kernels may skip half of their blocks."""
        return self.program - self.kernels / 2

    @property
    def useful(self) -> int:
        """FLOPs of the model that the program computes, which leaves out what kernels may skip."""
        return self.causal if self.kernels else self.exact


@dataclass(frozen=True)
class Bounds:
    """Lower bounds of the seconds that one step takes, by resource."""

    compute: float
    memory: float
    interconnect: float

    @property
    def step(self) -> float:
        """The largest bound: a step takes at least this long, even if everything overlaps."""
        return max(self.compute, self.memory, self.interconnect)

    @property
    def limit(self) -> str:
        """The resource with the largest bound."""
        return max(("compute", "memory", "interconnect"), key=lambda name: getattr(self, name))


@dataclass(frozen=True)
class Report:
    """What compiling a training step for a topology shows.

    Attributes:
        topology: name of the topology, for `Topology.parse`.
        n_chips, run_id, params, batch_size, tokens_per_step, precision: facts of chips and run.
        mesh: size of each mesh axis.
        execution: the fields of `Execution`, with every choice made.
        compile_seconds: wall time of the compiler for the step.
        memory, flops: needs of a step.
        collectives, bounds: communication and bounds on time; empty and None if the program does
            not fit.
        advice: command-line options with which the run should fit, best first; empty if it fits.
        others: the run's other programs; empty if the step does not fit.
        compiler_bytes: the most memory that the compiling process took on this machine.
    """

    topology: str
    n_chips: int
    run_id: str
    params: int
    batch_size: int
    tokens_per_step: int
    precision: Precision
    mesh: dict[str, int]
    execution: dict[str, object]
    compile_seconds: float
    memory: ChipMemory
    flops: StepFlops
    collectives: list[Collective] = field(default_factory=list)
    bounds: Bounds | None = None
    advice: list[str] = field(default_factory=list)
    others: list[Program] = field(default_factory=list)
    compiler_bytes: int = 0

    @property
    def programs(self) -> list[Program]:
        """Every program that was compiled, the step first."""
        return [Program("step", self.memory, self.compile_seconds), *self.others]

    @property
    def largest(self) -> Program:
        """The program that needs the most memory; the first that does not fit, if there is one."""
        over = [one for one in self.programs if not one.memory.fits]
        return over[0] if over else max(self.programs, key=lambda one: one.memory.needed)

    @property
    def fits(self) -> bool:
        """Whether every program fits in the available memory."""
        return self.largest.memory.fits

    @property
    def overlapped(self) -> float | None:
        """Share of the sent bytes whose exchange overlaps a computation; None without exchange."""
        sent = sum(one.sent_bytes for one in self.collectives)
        return sum(one.overlapped_bytes for one in self.collectives) / sent if sent else None

    @property
    def largest_mfu(self) -> float | None:
        """Upper bound of the utilization by `StepFlops.useful`, from the bound on the step's time.

        Scores that causal kernels may skip count neither as work nor as time, so it is at most 1.
        """
        if self.bounds is None:
            return None
        chip = Topology.parse(self.topology).chip
        seconds = self.bounds.step
        return mfu(self.flops.useful, seconds, chip, precision=self.precision, n_chips=self.n_chips)


def lower_bounds(
    topology: Topology,
    precision: Precision,
    flops: StepFlops,
    memory: ChipMemory,
    written: int,
    exchanged: list[Collective],
) -> Bounds:
    """Lower bounds of the time of one step, from the chips' published rates.

    A step reads every argument, writes every output (`written` bytes on each chip), and writes and
    reads every byte of temporary memory at least once. Each chip sends `Collective.sent_bytes`
    over all its links at once, at half of the published rate, which counts both directions.
    """
    chip = topology.chip
    assert chip.bandwidth is not None
    assert chip.interconnect is not None
    moved = memory.arguments + written + 2 * memory.temporaries
    sent = chip.jax_devices * sum(one.sent_bytes for one in exchanged)
    return Bounds(
        compute=flops.least / (topology.n_chips * chip.peak_flops(precision)),
        memory=moved / chip.bandwidth,
        interconnect=sent / (chip.interconnect / 2),
    )
