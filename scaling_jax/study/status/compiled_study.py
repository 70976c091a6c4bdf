"""The programs of every run of a study, compiled for chips that are not here."""

from collections.abc import Callable
from dataclasses import dataclass

from scaling_jax.aot.launch import CompilerFailed
from scaling_jax.aot.targets import check_installed
from scaling_jax.aot.topology import Topology
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.study.plan.study import Study
from scaling_jax.study.status.compiled_plan import CompiledPrograms, compile_plan, programs_of
from scaling_jax.study.status.compiled_plan_text import progress


@dataclass(frozen=True)
class CompiledStudy:
    """The programs of a study with the compiler's reports, in the order in which they were made.

    Attributes:
        name: of the study.
        topology: the chips that share each run.
        programs: the programs of each kind of run.
    """

    name: str
    topology: Topology
    programs: tuple[CompiledPrograms, ...]

    def refuse(self) -> None:
        """Refuse a study of which not every run fits.

        Raises:
            CompilerFailed: the compiler has no report on some programs.
            InputError: some programs do not fit.
        """
        if any(isinstance(each.found, CompilerFailed) for each in self.programs):
            raise CompilerFailed("some programs could not be compiled")
        if not all(each.fits for each in self.programs):
            raise InputError(
                f"some runs of {self.name} do not fit on {self.topology.name}, as listed above"
            )


def compile_study(
    study: Study,
    topology: Topology,
    execution: Execution = DEFAULT,
    *,
    price: float | None = None,
    jobs: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> CompiledStudy:
    """Compile the programs of every run of a study, once for the runs that share them.

    What an earlier call has compiled is not compiled again.

    Args:
        study: the study.
        topology: the chips that share each run.
        execution: how runs are computed.
        price: of a chip-hour, in any currency.
        jobs: compilers at a time, by default by cores and free memory.
        report: called with a line at the start and whenever programs have been compiled.

    Raises:
        InputError: the compiler is not installed, a price that is not one, or no job.
    """
    check_installed(topology)
    programs = programs_of(study.plan(), execution, topology)
    report(
        f"compiling the programs of {len(programs)} kinds of runs of {study.name} for "
        f"{topology.name}; each takes seconds to minutes, and an interrupted call continues ..."
    )
    found = list[CompiledPrograms]()
    for each in compile_plan(programs, price, jobs):
        found.append(each)
        report(f"{len(found)} of {len(programs)}: {progress(each)}")
    return CompiledStudy(study.name, topology, tuple(found))
