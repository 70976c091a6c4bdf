"""`tune`: the learning rate of a ladder from a sweep on its small runs."""

from typing import Annotated

import tyro

from scaling_jax.cli.arguments import (
    Experiment,
    Json,
    Root,
    ScaleOption,
    Settings,
    optional,
)
from scaling_jax.cli.exits import resumable
from scaling_jax.cli.output import print_json, print_table, remark
from scaling_jax.cli.running import JobFlags
from scaling_jax.study.plan.named_study import load_study
from scaling_jax.study.plan.tuning import DEFAULT_TUNING, Tuning
from scaling_jax.system.files import absolute

_HERE = JobFlags()


def tune(
    experiment: Experiment,
    /,
    *,
    root: Root = "results",
    scale: ScaleOption = "full",
    settings: Settings = (),
    tuning: Annotated[Tuning, tyro.conf.OmitArgPrefixes] = DEFAULT_TUNING,
    check: Annotated[bool, optional("sweep three rates on the ladder's largest rung too")] = False,
    dry_run: Annotated[bool, optional("show the sweep and its cost, and train nothing")] = False,
    training: Annotated[JobFlags, tyro.conf.OmitArgPrefixes] = _HERE,
    json: Json = False,
) -> None:
    """Find the law of a ladder's best learning rate from a sweep on small runs.

    The sweep is the study NAME-tune under the root, which the same command continues. Its rule, a
    power of N, D and batch, is printed as Python and written to rule.json.
    """
    from scaling_jax.study.execution.tune import tune as tuned_by
    from scaling_jax.study.status import tuning_text as text

    ladder = load_study(experiment, scale, settings)
    remark(text.cost_text(ladder, tuning, check))
    if dry_run:
        print_table(text.plan_table(ladder, tuning))
        return
    from scaling_jax.system.compilation import use_compilation_cache

    use_compilation_cache()
    with resumable():
        found = tuned_by(
            ladder, absolute(root), tuning, check=check, report=remark, job=training.job()
        )
    if json:
        print_json(text.tuned_data(found))
        return
    print_table(text.optima_table(found))
    print(f"\n{text.tuned_text(found)}")
