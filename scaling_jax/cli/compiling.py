"""`compile`: what runs need on chips that are not here, by the compiler."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from scaling_jax.cli.arguments import Json, ScaleOption, Settings, optional
from scaling_jax.cli.execution_options import ExecutionOptions
from scaling_jax.cli.exits import CommandFailed
from scaling_jax.cli.output import print_blocks, print_json, print_table, remark
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError, refuse_with
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.study.plan.named_study import load_run, load_study

if TYPE_CHECKING:
    from scaling_jax.aot import Topology


def compile_(
    source: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="EXPERIMENT|CONFIG.json", help="an experiment, or a run's configuration"
        ),
    ],
    /,
    *,
    topology: Annotated[
        str | None, optional("one run, for v5e:4x4, v5p:4x4x4, v6e:2x2, h100:8, ...", "CHIP:DIMS")
    ] = None,
    hardware: Annotated[
        str | None, optional("every run of the study, for chips of this kind: v5e, v5p, h100, ...")
    ] = None,
    chips: Annotated[
        int | None, optional("with --hardware: number of chips that share each run (default: 1)")
    ] = None,
    price: Annotated[
        float | None, optional("with --hardware: price of a chip-hour, in any currency")
    ] = None,
    jobs: Annotated[
        int | None,
        optional("with --hardware: compilers at a time (default: by cores and free memory)"),
    ] = None,
    run: Annotated[
        str | None, optional("which of a study's runs (default: the largest)", "RUN_ID")
    ] = None,
    scale: ScaleOption = "full",
    settings: Settings = (),
    execution: ExecutionOptions = DEFAULT,
    json: Json = False,
) -> None:
    """Compile the programs of runs for chips that are not here, and show what they need.

    With --topology one run: memory of its step, its evaluation, its initialization and the check
    of a restored checkpoint on each chip, FLOPs, what the chips exchange, and the least time a step
    can take. With --hardware every run of the study, a row for those that share their programs;
    what an earlier call has compiled is not compiled again. Ends with exit code 2 if a run does not
    fit, and names what would make it fit. Large models take minutes.
    """
    from scaling_jax.aot import Topology
    from scaling_jax.study.status import compiled_plan_text as text
    from scaling_jax.study.status.compiled_study import compile_study

    if (topology is None) == (hardware is None):
        raise InputError(
            "give --topology CHIP:DIMS to compile one run, or --hardware with --chips to compile "
            "every run of a study"
        )
    with _compiler_failures():
        if topology is not None:
            given = {"--chips": chips, "--price": price, "--jobs": jobs}
            refuse_with("--topology compiles one run", {k: v is not None for k, v in given.items()})
            config = load_run(source, run, scale, settings)
            _compile_one(config, execution, Topology.parse(topology), json)
            return
        assert hardware is not None
        if source.suffix == ".json" or run is not None:
            raise InputError(
                "--hardware compiles every run of a study: for one run give --topology"
            )
        wanted = Topology.of(hardware, 1 if chips is None else chips)
        study = load_study(source, scale, settings)
        found = compile_study(study, wanted, execution, price=price, jobs=jobs, report=remark)
        if json:
            print_json(text.compiled_data(found.programs))
        else:
            print_table(text.compiled_table(found.programs))
            print(f"\n{text.compiled_summary(found.programs)}")
        found.refuse()


def _compile_one(config: RunConfig, execution: Execution, wanted: "Topology", json: bool) -> None:
    from scaling_jax.aot import advised, compile_run, report_text

    remark(f"compiling run {config.run_id} for {wanted.name}, which can take minutes ...")
    report = advised(compile_run(config, execution, wanted), config, execution, wanted)
    if json:
        print_json(report_text.report_data(report))
    else:
        print_blocks(report_text.report_blocks(report))
    if not report.fits:
        raise InputError(report_text.refusal(report))


@contextmanager
def _compiler_failures() -> Iterator[None]:
    """Turn a compiler's failure into that of the command."""
    from scaling_jax.aot import CompilerFailed

    try:
        yield
    except CompilerFailed as failure:
        raise CommandFailed(str(failure)) from failure
