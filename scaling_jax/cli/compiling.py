"""`compile`: what a run needs on chips that are not here, by the compiler."""

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
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT
from scaling_jax.study.plan.named_study import load_study

if TYPE_CHECKING:
    from scaling_jax.config import RunConfig


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
    """Compile a run's training step for chips that are not here, and show what it needs.

    Memory on each chip, FLOPs, what the chips exchange, and the least time a step can take.
    Ends with exit code 2 if the run does not fit, and names what would make it fit. Large models
    take minutes.
    """
    from scaling_jax.aot import CompilerFailed, Topology, compile_run, report_text

    wanted = Topology.parse(topology)
    config = _chosen(source, run, scale, settings)
    remark(f"compiling run {config.run_id} for {wanted.name}, which can take minutes ...")
    try:
        report = compile_run(config, execution, wanted)
    except CompilerFailed as failure:
        raise CommandFailed(str(failure)) from failure
    if json:
        print_json(report_text.report_data(report))
    else:
        print(report_text.report_text(report))
        if report.collectives:
            print()
            print_table(report_text.exchange_table(report))
    if not report.memory.fits:
        raise InputError(report_text.refusal(report))


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
