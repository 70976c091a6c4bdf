"""`plan`: what a study would train, what it would cost, and what is wrong with it."""

from typing import Annotated

import tyro

from scaling_jax.cli.arguments import (
    DataCache,
    Experiment,
    Json,
    MaxFlops,
    ScaleOption,
    Settings,
    optional,
)
from scaling_jax.cli.execution_options import ExecutionOptions
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.execution import DEFAULT
from scaling_jax.study.plan.named_study import load_study
from scaling_jax.study.status.plan_cost import cost
from scaling_jax.study.status.plan_text import (
    additions_table,
    plan_answer,
    plan_data,
    plan_storage,
    plan_summary,
    plan_table,
)
from scaling_jax.study.status.run_cost import THIS_MACHINE, Machine


def plan(
    experiment: Experiment,
    /,
    *,
    scale: ScaleOption = "full",
    settings: Settings = (),
    machine: Annotated[Machine, tyro.conf.OmitArgPrefixes] = THIS_MACHINE,
    root: Annotated[
        str | None,
        optional("estimate time from the runs that finished there on such chips", "DIR"),
    ] = None,
    max_flops: MaxFlops = None,
    execution: ExecutionOptions = DEFAULT,
    data_cache: DataCache = None,
    suggest: Annotated[bool, optional("say which further runs would narrow the answer")] = False,
    json: Json = False,
) -> None:
    """Show the runs of a study and what they cost, without training anything.

    Every run with its parameters N, tokens D, FLOPs C, batch, steps (and the step that a branch
    starts from) and peak learning rate, and the memory, time and money it takes; then totals, the
    interval that the answer is expected to have, the disk and memory that tokens take on each host,
    and warnings about what the design cannot identify.
    Exit code 2 if the text is not enough for the runs, or not fit for them.
    """
    study = load_study(experiment, scale, settings)
    study.refuse_beyond(max_flops)
    priced = cost(study, machine, execution, root, data_cache)
    if json:
        print_json(plan_data(priced, with_additions=suggest))
        priced.text.refuse()
        return
    print_table(plan_table(priced))
    print(f"\n{plan_summary(priced)}", flush=True)
    if answer := plan_answer(priced):
        print(answer)
    if suggest and (additions := additions_table(priced)):
        print("\nFurther runs, those first that narrow the loss most per FLOP:\n")
        print_table(additions)
    print(plan_storage(priced))
    for sentence in priced.warnings:
        remark(f"warning: {sentence}")
    priced.text.refuse()
