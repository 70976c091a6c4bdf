"""What a plan should be warned about before it is paid for."""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling_jax.accounting import flops
from scaling_jax.accounting.hardware import GIB

if TYPE_CHECKING:
    from scaling_jax.study import PlannedRun, Recipe
    from scaling_jax.study.status.cost import Cost, Machine

COLLINEAR = 0.95
LEAST_BUDGETS = 3


def warnings(
    runs: "Sequence[PlannedRun]", costs: "Sequence[Cost]", machine: "Machine"
) -> list[str]:
    """Sentences about memory and about what the design cannot identify."""
    fitted = [run for run in runs if run.role == "grid"]
    found = (_memory(runs, costs, machine), _collinear(fitted), _few_budgets(fitted))
    return [sentence for sentence in found if sentence]


def extrapolated_rules(recipe: "Recipe", runs: "Sequence[PlannedRun]") -> list[str]:
    """Sentences about published rules that are used beyond what they were fitted over."""
    from scaling_jax.study.plan.published_rules import extrapolated

    configs = [run.config for run in runs]
    found = [extrapolated(rule, configs) for rule in (recipe.peak_lr, recipe.batch_size)]
    return [sentence for sentence in found if sentence]


def _memory(runs: "Sequence[PlannedRun]", costs: "Sequence[Cost]", machine: "Machine") -> str:
    chip = machine.chip
    over = [
        (run, cost)
        for run, cost in zip(runs, costs, strict=True)
        if cost.memory.total > chip.usable_bytes
    ]
    if not over:
        return ""
    run, cost = max(over, key=lambda pair: pair[1].memory.total)
    params = flops.count_params(run.config.shape).total
    remedy = machine.remedy(run)
    return (
        f"{len(over)} of {len(runs)} runs need more than the {chip.usable_bytes / GIB:.3g} GiB of "
        f"one {chip.name} that a program can have; the largest, of {params:.3g} parameters, needs "
        f"{cost.memory.total / GIB:,.0f} GiB per chip. "
        + (f"It is estimated to fit with {remedy}" if remedy else "Nothing here makes it fit")
        + (f"; as it is, on {cost.fits_on:,} chips" if cost.fits_on else "")
    )


def _collinear(runs: "Sequence[PlannedRun]") -> str:
    if len(runs) < 2:
        return ""
    log_params = [math.log(flops.count_params(run.config.shape).total) for run in runs]
    log_tokens = [math.log(run.config.tokens) for run in runs]
    for name, values in (("N", log_params), ("D", log_tokens)):
        if max(values) - min(values) < 1e-6:
            return f"every run has the same {name}: its effect on the loss cannot be told"
    r = statistics.correlation(log_params, log_tokens)
    if abs(r) < COLLINEAR:
        return ""
    return (
        f"log N and log D are nearly collinear over the design (correlation {r:.3f}): the effects "
        "of N and D on the loss cannot be told apart; vary N at fixed compute"
    )


def _few_budgets(runs: "Sequence[PlannedRun]") -> str:
    n = len({run.budget for run in runs})
    if n >= LEAST_BUDGETS:
        return ""
    return (
        f"only {n} compute {'budget' if n == 1 else 'budgets'}: an exponent needs at least "
        f"{LEAST_BUDGETS}, and its interval more"
    )
