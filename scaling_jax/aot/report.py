"""What a compiled training step needs, and the least time it can take."""

from dataclasses import dataclass, field

from scaling_jax.accounting.hardware import mfu
from scaling_jax.aot.collectives import Collective
from scaling_jax.aot.topology import Topology
from scaling_jax.config import Precision


@dataclass(frozen=True)
class ChipMemory:
    """Bytes on one chip while a step runs.

    Attributes:
        needed: all of it, by the compiler's plan or its refusal.
        available: what the compiler lets a program use.
        arguments: training state and batch, which are there between steps too.
        temporaries: activations, gradients and scratch space.
        code: the program.
        parts_known: whether the compiler said more than `needed`.
    """

    needed: int
    available: int
    arguments: int = 0
    temporaries: int = 0
    code: int = 0
    parts_known: bool = True

    @property
    def fits(self) -> bool:
        """Whether the program can be loaded."""
        return self.needed <= self.available


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of one step over all chips.

    Attributes:
        exact: matrix products of the model, forward and backward, as `flops.py` counts them.
        program: matrix products that the traced step asks for, recomputation included, loops
            multiplied out, every block of attention kernels.
        kernels: those of them in attention kernels.
        once: products outside kernels with every loop's body counted once.
        xla: the compiler's own count, element-wise work included, every loop's body once and
            without kernels; None where it gives none.
    """

    exact: int
    program: int
    kernels: int
    once: int
    xla: float | None

    @property
    def recomputed(self) -> float:
        """Work done over the model's own, as a share of that."""
        return self.program / self.exact - 1

    @property
    def least(self) -> float:
        """What is done at least: causal kernels may leave out half."""
        return self.program - self.kernels / 2


@dataclass(frozen=True)
class Bounds:
    """Seconds that one step takes at least, by what has to be done."""

    compute: float
    memory: float
    interconnect: float

    @property
    def step(self) -> float:
        """The largest: even if everything overlaps, a step takes this long."""
        return max(self.compute, self.memory, self.interconnect)

    @property
    def limit(self) -> str:
        """What sets it."""
        return max(("compute", "memory", "interconnect"), key=lambda name: getattr(self, name))


@dataclass(frozen=True)
class Report:
    """A training step compiled for a topology that is not here.

    Attributes:
        topology: as `Topology.parse` takes it.
        mesh: size of each mesh axis.
        execution: the choices of `Execution`, all made.
        compile_seconds: wall time of the compiler.
        memory, flops, collectives, bounds: see there; without a program that fits there are no
            collectives and no bounds.
        advice: what would make it fit, best first; empty where it does.
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

    @property
    def largest_mfu(self) -> float | None:
        """Model FLOP utilization if the step takes no longer than its bound."""
        if self.bounds is None:
            return None
        chip = Topology.parse(self.topology).chip
        seconds = self.bounds.step
        return mfu(self.flops.exact, seconds, chip, precision=self.precision, n_chips=self.n_chips)


def lower_bounds(
    topology: Topology,
    precision: Precision,
    flops: StepFlops,
    memory: ChipMemory,
    written: int,
    exchanged: list[Collective],
) -> Bounds:
    """Time of one step at the chips' published rates, each as if the others took none.

    Every argument is read, every output (`written` bytes on each chip) written, and every byte of
    temporary memory written and read, at least once. Each chip sends what `Collective.sent_bytes`
    says over all its links at once, half of the published figure, which is both directions'.
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
