"""What a design cannot identify, found before anything is trained."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from scaling_jax.accounting import flops
from scaling_jax.study.plan.design import Design, PlannedRun
from scaling_jax.study.plan.published_rules import extrapolated
from scaling_jax.study.plan.recipe import Recipe
from scaling_jax.study.plan.rules import ConstantBatch
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.sweep import Sweep
from scaling_jax.study.status.design_score import design_score

if TYPE_CHECKING:
    from scaling_jax.laws.planning.design_score import DesignScore

COLLINEAR = 0.95
LEAST_BUDGETS = 3
_MOST_NAMED = 3


def design_warnings(study: Study) -> list[str]:
    """Sentences about what a study's design cannot identify, and about rules used out of range.

    What `design_score` finds weak ends with its code in brackets.

    >>> from dataclasses import replace
    >>> from scaling_jax.study import FixedModels, load_experiment
    >>> study = load_experiment("experiments/chinchilla_isoflop.py", "smoke")
    >>> one_size = replace(study, design=FixedModels(params=(3e4,), tokens_per_param=(5, 20, 80)))
    >>> print(design_warnings(one_size)[0])
    every run has the same N: its effect on the loss cannot be identified
    """
    return scored_warnings(study, design_score(study))


def scored_warnings(study: Study, score: "DesignScore | None") -> list[str]:
    """The sentences of `design_warnings`, from the study's score, None where it has none."""
    runs = study.plan()
    weak = () if score is None else score.warnings
    fitted = [run for run in runs if run.role == "grid"]
    configs = [run.config for run in runs]
    rules = (study.recipe.peak_lr, study.recipe.batch_size)
    found = (
        # A single ray is collinear, and its warning says more.
        "" if any(warning.code == "single-ray" for warning in weak) else _collinear(fitted),
        _few_budgets(fitted),
        _halved(study),
        *(extrapolated(rule, configs) for rule in rules),
        *map(str, weak),
    )
    return [sentence for sentence in found if sentence]


def _halved(study: Study) -> str:
    """A warning of runs whose batch was halved to meet a budget, since the loss depends on it."""
    changes = set[tuple[float, int, int]]()
    n_runs = 0
    for recipe, design in _with_recipes(study.design, study.recipe):
        # Every size that shares the batch of a halved one is halved with it.
        for run in design.runs(recipe):
            batch, wanted = run.config.batch_size, recipe.wanted_batch(run.config.shape, run.budget)
            if batch <= wanted // 2 and _follows(run, recipe):
                changes.add((run.budget, wanted, batch))
                n_runs += 1
    if not changes:
        return ""
    named = [f"{wanted} to {batch} at {budget:.3g} FLOPs" for budget, wanted, batch in changes]
    shown = ", ".join(sorted(named)[:_MOST_NAMED])
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return (
        f"whole steps of the batch rule's batches miss a budget, so the batch of {n_runs} runs is "
        f"smaller ({shown}{more}), and the loss depends on it: lower the rule's batch or raise the "
        "budget"
    )


def _follows(run: PlannedRun, recipe: Recipe) -> bool:
    """Whether a run's optimizer is the recipe's at the run's batch.

    A design of a user's own may train by further recipes, whose batches are not the recipe's.
    """
    config = run.config
    same_batch = replace(recipe, batch_size=ConstantBatch(config.batch_size))
    return same_batch.for_tokens(config.shape, config.tokens).optimizer == config.optimizer


def _with_recipes(design: Design, recipe: Recipe) -> Iterator[tuple[Recipe, Design]]:
    """A design with its recipe, or that of each variation of a sweep."""
    if not isinstance(design, Sweep):
        yield recipe, design
        return
    for changed in design.recipes(recipe):
        yield from _with_recipes(design.design, changed)


def _collinear(runs: Sequence[PlannedRun]) -> str:
    if len(runs) < 2:
        return ""
    log_params = [math.log(flops.count_params(run.config.shape).total) for run in runs]
    log_tokens = [math.log(run.config.tokens) for run in runs]
    for name, values in (("N", log_params), ("D", log_tokens)):
        if max(values) - min(values) < 1e-6:
            return f"every run has the same {name}: its effect on the loss cannot be identified"
    r = statistics.correlation(log_params, log_tokens)
    if abs(r) < COLLINEAR:
        return ""
    return (
        f"log N and log D are nearly collinear over the design (correlation {r:.3f}): the effects "
        "of N and D on the loss cannot be separated; vary N at fixed compute"
    )


def _few_budgets(runs: Sequence[PlannedRun]) -> str:
    n = len({run.budget for run in runs})
    if n >= LEAST_BUDGETS:
        return ""
    return (
        f"only {n} compute {'budget' if n == 1 else 'budgets'}: an exponent needs at least "
        f"{LEAST_BUDGETS}, and its interval more"
    )
