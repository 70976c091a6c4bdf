"""What could be added to a plan, as its recipe would train it and as its machine would price it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.accounting.flops import count_params
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import IsoFlop, PlannedRun, ShapeGrid
from scaling_jax.study.status.measurement_cost import Measurements
from scaling_jax.study.status.plan_cost import PlanCost
from scaling_jax.study.status.run_cost import RunCost, run_cost

if TYPE_CHECKING:
    from scaling_jax.laws.planning.additions import Addition, Proposal, Trained


def proposals(plan: PlanCost) -> "list[Proposal]":
    """What could be added to a plan, ordered by how much it narrows the loss per FLOP.

    Empty for a plan without a score. Additions that the recipe cannot train, such as sizes beyond
    its family, are left out.
    """
    from scaling_jax.laws.planning.additions import propose

    if plan.score is None:
        return []
    return propose(plan.score, lambda addition: _trained(plan, addition))


def _trained(plan: PlanCost, addition: "Addition") -> "Trained | None":
    from scaling_jax.laws.planning.additions import Trained

    if addition.fixed == "plan":
        pairs = zip(plan.runs, plan.costs, strict=True)
        kept = [(run, cost) for run, cost in pairs if run.role == "grid"]
        runs, costs = [run for run, _ in kept], [cost for _, cost in kept]
    else:
        planned = {run.config.run_id for run in plan.runs}
        try:
            new = {run.config.run_id: run for run in _runs(plan, addition)}
            runs = [run for run_id, run in new.items() if run_id not in planned]
            given, measurements = (plan.machine, plan.execution, plan.speed), Measurements()
            costs = [run_cost(run, *given, measurements) for run in runs]
        except InputError:
            return None
    sizes = np.array([count_params(run.config.shape).total for run in runs], np.float64)
    tokens = np.array([run.config.tokens for run in runs], np.float64)
    budgets = np.array([run.budget for run in runs], np.float64)
    spent = float(sum(run.flops_spent for run in runs))
    return Trained(sizes, tokens, budgets, spent, _price(costs))


def _runs(plan: PlanCost, addition: "Addition") -> Iterator[PlannedRun]:
    recipe = plan.study.recipe
    if addition.fixed == "budget":
        for budget in np.unique(addition.budget_K):
            sizes = addition.params_K[addition.budget_K == budget].tolist()
            yield from IsoFlop((float(budget),), (sizes,)).runs(recipe)
    else:
        for size, tokens in zip(addition.params_K, addition.tokens_K, strict=True):
            shape = recipe.family.nearest(float(size))
            yield from ShapeGrid((shape,), (float(tokens),)).runs(recipe)


def _price(costs: Sequence[RunCost]) -> float | None:
    prices = [cost.price for cost in costs if cost.price is not None]
    return sum(prices) if prices else None
