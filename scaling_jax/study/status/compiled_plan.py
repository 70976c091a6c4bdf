"""The programs of a plan, compiled: whether each fits, and the least that it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scaling_jax.accounting.flops import count_params
from scaling_jax.aot.launch import CompilerFailed
from scaling_jax.aot.many import Outcome, Request, compile_many, parallel_compilers
from scaling_jax.aot.report import Report
from scaling_jax.aot.topology import Topology
from scaling_jax.config import DataConfig, RunConfig, program_of
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, chosen_execution, estimated_memory
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.status.run_cost import require_price


@dataclass(frozen=True)
class RunPrograms:
    """The runs of a plan that share their programs.

    Attributes:
        runs: the runs.
        request: what is compiled for them.
        estimated_bytes: estimated memory of a step on each chip; None if the runs do not divide
            over the chips.
    """

    runs: tuple[PlannedRun, ...]
    request: Request
    estimated_bytes: int | None

    @property
    def params(self) -> int:
        """Number of parameters of each run."""
        return count_params(self.request.config.shape).total

    @property
    def steps(self) -> int:
        """Steps that the runs take together; a branch does not take those of its trunk."""
        return sum(run.config.steps - run.shared_steps for run in self.runs)


@dataclass(frozen=True)
class CompiledPrograms:
    """Programs of a plan, and what came of compiling them.

    Attributes:
        programs: the programs and their runs.
        found: the compiler's report, or why there is none.
        stored: whether an earlier call has compiled the programs.
        price: price of a chip-hour; None if it is unknown.
    """

    programs: RunPrograms
    found: Report | CompilerFailed | InputError
    stored: bool
    price: float | None = None

    @property
    def fits(self) -> bool:
        """Whether the programs were compiled and fit."""
        return isinstance(self.found, Report) and self.found.fits

    @property
    def hours_at_least(self) -> float | None:
        """Lower bound of the hours that training these runs takes, one after another."""
        if not isinstance(self.found, Report) or self.found.bounds is None:
            return None
        return self.programs.steps * self.found.bounds.step / 3600

    @property
    def price_at_least(self) -> float | None:
        """Lower bound of what training these runs costs; None without a price."""
        hours = self.hours_at_least
        if self.price is None or hours is None:
            return None
        return self.price * hours * self.programs.request.topology.n_chips


def programs_of(
    runs: Sequence[PlannedRun], execution: Execution, topology: Topology
) -> list[RunPrograms]:
    """The distinct programs of a plan, smallest first, each with the runs that share it."""
    chips = Chips(topology.chip, topology.n_chips)
    groups: dict[tuple[RunConfig, Execution], list[PlannedRun]] = {}
    for run in runs:
        try:
            chosen = chosen_execution(run.config, execution, chips)
        except InputError:  # The compiling process refuses it again, and says why.
            chosen = execution
        groups.setdefault((_program(run.config), chosen), []).append(run)
    found = [
        RunPrograms(
            tuple(alike), Request(config, chosen, topology), _estimated(config, chosen, chips)
        )
        for (config, chosen), alike in groups.items()
    ]
    return sorted(found, key=lambda each: (each.params, each.request.config.tokens_per_step))


def compile_plan(
    programs: Sequence[RunPrograms],
    price: float | None = None,
    jobs: int | None = None,
    directory: Path | None = None,
) -> Iterator[CompiledPrograms]:
    """Compile `programs`, `jobs` at a time, and yield each once it is known.

    By default there are as many at a time as cores and memory suffice for. What an earlier call
    has compiled is not compiled again.

    Raises:
        InputError: a negative or infinite price, or fewer jobs than one.
    """
    require_price(price)
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs} must be at least 1")
    requests = [each.request for each in programs]
    outcomes = compile_many(requests, jobs or parallel_compilers(), directory)
    return map(partial(_with_runs, programs, price), outcomes)


def _with_runs(
    programs: Sequence[RunPrograms], price: float | None, outcome: Outcome
) -> CompiledPrograms:
    alike, found = programs[outcome.request], outcome.found
    if isinstance(found, Report):
        found = replace(found, run_id=alike.runs[0].config.run_id)
    return CompiledPrograms(alike, found, outcome.stored, price)


def _program(config: RunConfig) -> RunConfig:
    """`config` with fixed values for everything that its compiled programs do not depend on."""
    shared = program_of(config)
    return replace(shared, data=DataConfig(), evals=(), eval_details=False, noise_scale=None)


def _estimated(config: RunConfig, execution: Execution, chips: Chips) -> int | None:
    try:
        device = estimated_memory(config, execution, chips)
    except InputError:
        return None
    return device.total * chips.chip.jax_devices
