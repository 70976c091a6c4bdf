"""`compile`: what runs need on chips that are not here, by the compiler."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_jax.accounting import flops
from scaling_jax.cli.arguments import (
    ExecutionOptions,
    Json,
    ScaleOption,
    Settings,
    optional,
)
from scaling_jax.cli.exits import CommandFailed
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError, refuse_with
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.study.plan.named_study import load_study

if TYPE_CHECKING:
    from scaling_jax.aot import Topology
    from scaling_jax.study import Study


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

    if (topology is None) == (hardware is None):
        raise InputError(
            "give --topology CHIP:DIMS to compile one run, or --hardware with --chips to compile "
            "every run of a study"
        )
    if topology is not None:
        given = {"--chips": chips, "--price": price, "--jobs": jobs}
        refuse_with("--topology compiles one run", {k: v is not None for k, v in given.items()})
        _compile_one(
            _chosen(source, run, scale, settings), execution, Topology.parse(topology), json
        )
        return
    assert hardware is not None
    if source.suffix == ".json" or run is not None:
        raise InputError("--hardware compiles every run of a study: for one run give --topology")
    wanted = Topology.of(hardware, 1 if chips is None else chips)
    _compile_all(load_study(source, scale, settings), execution, wanted, price, jobs, json)


def _compile_one(config: RunConfig, execution: Execution, wanted: "Topology", json: bool) -> None:
    from scaling_jax.aot import CompilerFailed, advised, compile_run, report_text

    remark(f"compiling run {config.run_id} for {wanted.name}, which can take minutes ...")
    try:
        report = advised(compile_run(config, execution, wanted), config, execution, wanted)
    except CompilerFailed as failure:
        raise CommandFailed(str(failure)) from failure
    if json:
        print_json(report_text.report_data(report))
    else:
        print(report_text.report_text(report))
        print()
        print_table(report_text.program_table(report))
        if report.collectives:
            print()
            print_table(report_text.exchange_table(report))
    if not report.fits:
        raise InputError(report_text.refusal(report))


def _compile_all(
    study: "Study",
    execution: Execution,
    wanted: "Topology",
    price: float | None,
    jobs: int | None,
    json: bool,
) -> None:
    from scaling_jax.aot import CompilerFailed
    from scaling_jax.aot.targets import check_installed
    from scaling_jax.study.status import compiled_plan, compiled_plan_text

    check_installed(wanted)
    runs = study.plan()
    programs = compiled_plan.programs_of(runs, execution, wanted)
    remark(
        f"compiling the programs of {len(programs)} kinds of runs of {study.name} for "
        f"{wanted.name}; each takes seconds to minutes, and an interrupted call continues ..."
    )
    found = []
    for each in compiled_plan.compile_plan(programs, price, jobs):
        found.append(each)
        remark(f"{len(found)} of {len(programs)}: {compiled_plan_text.progress(each)}")
    if json:
        print_json(compiled_plan_text.compiled_data(found))
    else:
        print_table(compiled_plan_text.compiled_table(found))
        print(f"\n{compiled_plan_text.compiled_summary(found)}")
    if any(isinstance(each.found, CompilerFailed) for each in found):
        raise CommandFailed("some programs could not be compiled")
    if not all(each.fits for each in found):
        raise InputError(f"some runs of {study.name} do not fit on {wanted.name}, as listed above")


def _chosen(source: Path, run: str | None, scale: Any, settings: tuple[str, ...]) -> "RunConfig":
    if source.suffix == ".json":
        if run is not None:
            raise InputError("--run chooses among a study's runs: leave it out with a CONFIG.json")
        return RunConfig.read(source)
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
