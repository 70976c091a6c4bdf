"""`run`, `train` and `demo`: the commands that train."""

import dataclasses
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import (
    DataCache,
    Experiment,
    Json,
    MaxFlops,
    Root,
    ScaleOption,
    Settings,
    optional,
)
from scaling_jax.cli.execution_options import ExecutionOptions
from scaling_jax.cli.exits import CommandFailed, Stopped, resumable
from scaling_jax.cli.output import print_json, remark
from scaling_jax.config import RunConfig
from scaling_jax.execution import DEFAULT
from scaling_jax.formatting import plain_spaces
from scaling_jax.study.execution.job import Job
from scaling_jax.study.plan.named_study import load_study
from scaling_jax.system.connection import ALONE, Processes
from scaling_jax.system.files import absolute

if TYPE_CHECKING:
    from scaling_jax.laws.planning.next_runs import Goal
    from scaling_jax.study.execution.adaptive import AdaptiveResult
    from scaling_jax.study.status.ending import Ending


@dataclass(frozen=True)
class JobFlags(Job):
    """How runs are trained."""

    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    pack: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    retry_failed: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    executor_options: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            name="executor-option",
            metavar="NAME=VALUE",
            help="an option of Ray's tasks or Slurm's jobs, such as slurm_partition=gpu; may be "
            "repeated",
            help_behavior_hint="",
        ),
    ] = ()  # type: ignore[assignment]
    track: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="TRACKER", help_behavior_hint="may be repeated"),
    ] = ()
    cache_dir: DataCache = None
    progress: tyro.conf.SuppressFixed[tyro.conf.Fixed[bool]] = True

    def job(self) -> Job:
        """The job, whose executor's options are values instead of texts."""
        options = named_values.values("--executor-option", tuple(self.executor_options))
        return Job(**vars(self) | {"executor_options": options})


def run(
    experiment: Experiment,
    /,
    *,
    root: Root,
    scale: ScaleOption = "full",
    settings: Settings = (),
    max_flops: MaxFlops = None,
    until: Annotated[
        str | None,
        optional(
            "train only as many runs as this goal needs, a few at a time: params, tokens or loss "
            "of the optimum at budget C, to an interval of this width (params@1e21:1.5, "
            "loss@1e21:0.02); --max-flops then limits the FLOPs spent",
            "QUANTITY@C:WIDTH",
        ),
    ] = None,
    training: Annotated[JobFlags, tyro.conf.OmitArgPrefixes] = JobFlags(),
    processes: Annotated[Processes, tyro.conf.OmitArgPrefixes] = ALONE,
    json: Json = False,
) -> None:
    """Train every run of a study that has not finished yet.

    The command can be repeated, interrupted (exit code 75: repeat it to continue) and started on
    several machines that share the directory: one process at a time trains a run, and no run is
    trained twice. The hosts of a TPU slice, of Slurm's srun, or with --coordinator train each run
    together. A run that the design holds back as a test is trained last, after its forecast.
    """
    import jax

    from scaling_jax.laws.planning.next_runs import Goal
    from scaling_jax.study import collect, run_study
    from scaling_jax.study.execution.adaptive import run_until
    from scaling_jax.study.status.ending import Ending
    from scaling_jax.study.status.study_forecasts import study_forecasts
    from scaling_jax.study.store.command import recorded, run_command
    from scaling_jax.system.agreement import is_first
    from scaling_jax.system.compilation import use_compilation_cache

    study, job = load_study(experiment, scale, settings), training.job()
    goal = Goal.parse(until) if until is not None else None
    if goal is None:
        study.refuse_beyond(max_flops)
    processes.connect()
    use_compilation_cache()
    if not job.is_local:
        # This process only watches: the accelerators are for the tasks.
        jax.config.update("jax_platforms", "cpu")
    command = run_command(experiment, root, scale, settings, until)
    kept = recorded(absolute(root) / study.name, command)
    if goal is not None:
        with resumable(), kept:
            ended = run_until(
                study, absolute(root), goal, max_flops=max_flops, report=remark, job=job
            )
        _print_goal(ended, goal, json)
        return
    with resumable(), kept:
        store = run_study(study, absolute(root), job)
    if is_first():
        _print_ending(Ending.of(store), json)
        if not json and any(run.role == "verification" for run in study.plan()):
            for forecast in study_forecasts(store, collect(store)):
                if forecast.problem:
                    remark(f"warning: {forecast}")
                else:
                    print(f"\n{plain_spaces(str(forecast))}")


def train(
    config: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="CONFIG.json",
            help="a run's configuration, such as a store's runs/*/config.json",
        ),
    ],
    /,
    *,
    root: Root,
    execution: ExecutionOptions = DEFAULT,
    data_cache: DataCache = None,
    processes: Annotated[Processes, tyro.conf.OmitArgPrefixes] = ALONE,
    profile: Annotated[
        Path | None,
        optional(
            "directory for a trace of ten dispatches, which TensorBoard and Perfetto read", "DIR"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Train one run in DIR/RUN_ID, or continue it from its last checkpoint.

    To train on many hosts, start the command on each host with the same DIR. On a TPU slice and
    under Slurm's srun the processes find each other; elsewhere, give --coordinator,
    --num-processes and --process-id.
    """
    import jax

    from scaling_jax.runs.profiling import profiled
    from scaling_jax.system.agreement import is_first
    from scaling_jax.system.compilation import use_compilation_cache
    from scaling_jax.system.cores import split_batch_over_cores
    from scaling_jax.train import train_run

    specified = RunConfig.read(config)
    processes.connect()
    if not jax.distributed.is_initialized() and execution.mesh == DEFAULT.mesh:
        split_batch_over_cores(max(1, specified.batch_size // execution.microbatches))
    use_compilation_cache()
    directory = absolute(root) / specified.run_id
    traced = profiled(profile) if profile is not None else nullcontext()
    with resumable(), traced as report:
        result = train_run(
            specified, directory, cache_dir=data_cache, execution=execution, report=report
        )
    if not is_first():
        return
    if json:
        print_json({"run_id": specified.run_id, **dataclasses.asdict(result)})
    elif result.loss is None:
        print(f"{specified.run_id}: diverged at step {result.steps:,} of {specified.steps:,}")
    else:
        spread = f" ± {result.loss_stderr:.4f}" if result.loss_stderr is not None else ""
        print(f"{specified.run_id}: loss {result.loss:.4f}{spread} nats per token in {directory}")


def demo(
    *,
    root: Root = "results/demo",
    seed: Annotated[
        int, tyro.conf.arg(metavar="S", help="seed of initialization, data order and bootstrap")
    ] = 0,
    json: Json = False,
) -> None:
    """Go from a plan to a tested prediction in a few minutes on a CPU, on the embedded text.

    Trains a small study, fits its laws, predicts the loss of a larger model, trains that model
    and compares the two losses.
    """
    from scaling_jax.demo import outcome_text, run_demo
    from scaling_jax.system.compilation import use_compilation_cache

    use_compilation_cache()
    with resumable():
        outcome = run_demo(absolute(root), seed, progress=True)
    print_json(outcome) if json else print(outcome_text(outcome))


def _print_ending(ended: "Ending", json: bool) -> None:
    """Print how a study ended.

    Raises:
        CommandFailed: some runs failed.
        Stopped: some runs in a bucket are held by a process that may be dead.
    """
    for sentence in ended.problems:
        remark(f"warning: {sentence}")
    print_json(ended.data()) if json else print(ended)
    if ended.failure:
        raise CommandFailed(ended.failure)
    if ended.held:
        raise Stopped(ended.held)


def _print_goal(ended: "AdaptiveResult", goal: "Goal", json: bool) -> None:
    """Print what an adaptive study found out and what it cost.

    Raises:
        CommandFailed: the goal was not reached.
    """
    print_json(ended.as_data(goal)) if json else print(ended.describe())
    if not ended.reached:
        raise CommandFailed(ended.shortfall(goal))
