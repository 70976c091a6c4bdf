"""Adaptive studies: train only those runs of a plan that an answer needs."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import jax
import numpy as np

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws import Fit, fit
from scaling_jax.laws.conventions import DRAWS, Count
from scaling_jax.laws.planning.next_runs import FIRST_CELLS, Advice, Goal, in_one_round, next_cells
from scaling_jax.study.execution.execute import create_store, train_runs
from scaling_jax.study.execution.job import DEFAULT_JOB, Job, JobOptions
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.records import collect
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import SETTLED

if TYPE_CHECKING:
    import pandas as pd

# Sizes of a budget that show on which side its minimum lies.
_FEWEST_OF_A_BUDGET = 3
# How far one study goes beyond its plan to find a minimum.
_MOST_WIDER = 12


@dataclass(frozen=True)
class AdaptiveResult:
    """How an adaptive study ended.

    Attributes:
        store: every run; runs that were not needed are still planned.
        fit: the law fitted to the finished runs; None while they determine no law.
        advice: which runs the last round chose, and why; None without a fit.
        needed: ids of the runs that are expected to be enough, cheapest first.
        flops: FLOPs of the finished runs.
        planned_flops: FLOPs of all runs of the plan.
    """

    store: Store
    fit: Fit | None
    advice: Advice | None
    needed: tuple[str, ...]
    flops: float
    planned_flops: float

    @property
    def reached(self) -> bool:
        """Whether the interval is as narrow as the goal."""
        return self.advice is not None and self.advice.reached

    @property
    def width(self) -> float | None:
        """Width of the goal's interval; None without a law."""
        return None if self.advice is None else self.advice.width

    def as_data(self, goal: Goal) -> dict[str, Any]:
        """The goal, the width that was reached and the FLOPs that it took, for JSON."""
        return {
            "store": str(self.store.directory),
            "quantity": goal.quantity,
            "at_flops": goal.flops,
            "asked_width": goal.width,
            "width": self.width,
            "reached": self.reached,
            "flops": self.flops,
            "planned_flops": self.planned_flops,
        }

    def describe(self) -> str:
        """What the study cost, and how to fit its runs."""
        return (
            f"{formatting.flops(self.flops)} FLOPs of {formatting.flops(self.planned_flops)} "
            f"planned; fit the finished runs with: scaling-jax fit {self.store.directory}"
        )

    def shortfall(self, goal: Goal) -> str:
        """How far the interval is from the goal, and what would narrow it."""
        known = "no law could be fitted" if self.width is None else f"it is {self.width:.4g} wide"
        return (
            f"the interval of {goal.quantity} at {goal.flops:.3g} FLOPs is not {goal.width:g} wide "
            f"yet ({known}): plan more runs, other sizes, or larger budgets"
        )


def run_until(
    study: Study,
    root: os.PathLike | str,
    goal: Goal,
    *,
    at_once: int = 4,
    max_flops: float | None = None,
    count: Count = "total",
    bootstrap: int = DRAWS,
    report: Callable[[str], None] = lambda line: None,
    job: Job = DEFAULT_JOB,
    **options: Unpack[JobOptions],
) -> AdaptiveResult:
    """Train runs of `study`, a few at a time, until the goal is reached.

    The cheapest runs come first. In every later round the law is fitted to the finished runs, and
    the next runs are the cheapest of those that are expected to be enough, up to `at_once` of
    them. Where a budget's lowest loss is at the smallest or largest size of its grid, the grid is
    extended on that side. The design lists the possible runs, so it can be wider and denser than
    one that is trained whole. Several processes may train the study; each chooses from the store
    as it finds it, and no run is trained twice.

    Args:
        study: the runs to choose from; verification runs are not trained.
        root: directory in which the study has its own.
        goal: when to stop.
        at_once: the most runs between fits; of expensive runs, fewer.
        max_flops: limit for the FLOPs of all runs together.
        count: which parameters are N.
        bootstrap: resamples of each fit.
        report: called with a line about each round.
        job: how the runs are trained.
        options: fields of `Job` to change, such as `workers=2`.

    Raises:
        InputError: bad input, found before anything is trained.
        Preempted: asked to stop; the runs under way are saved.
    """
    if at_once < 1:
        raise InputError(f"at_once {at_once} must be at least 1")
    if jax.process_count() > 1:
        raise InputError(
            "processes that train each run together cannot choose runs: start one process on each "
            "machine without joining them, or train the study whole"
        )
    planned = study.plan()
    if any(run.branch is not None for run in planned):
        raise InputError(
            f"study {study.name!r} cannot be trained a few runs at a time, since the branches of a "
            "size need its longest run first: plan its design without Branched, or train it whole"
        )
    job = replace(job, **options)
    store = create_store(study, root, job)
    tried: set[str] = set()
    while True:
        table = _grid(store)
        state = _look(store, table, goal, count, bootstrap)
        if wider := [store.add(run).run_id for run in _beyond_edges(study, table, len(planned))]:
            table = _grid(store)
        wanted = table.loc[[i for i in (*wider, *state.needed) if i not in tried], "flops"]
        costs = {str(i): float(flops) for i, flops in wanted.items()}
        if state.advice:
            n_wanted = in_one_round([*costs.values()], state.flops, at_once)
        else:
            n_wanted = max(at_once, FIRST_CELLS - len(tried))
        chosen = _affordable([*costs.items()][:n_wanted], state.flops, max_flops)
        report(_round_text(state, goal, len(chosen)))
        if state.reached or not chosen:
            return state
        tried.update(chosen)
        train_runs([run for run in store.runs() if run.run_id in chosen], job)


def _grid(store: Store) -> "pd.DataFrame":
    table = collect(store)
    return table[table["role"] == "grid"].set_index("run_id", drop=False).rename_axis(None)


def _look(
    store: Store, table: "pd.DataFrame", goal: Goal, count: Count, bootstrap: int
) -> AdaptiveResult:
    done = table[table["status"] == "finished"]
    # A run that has failed or is cancelled is neither fitted nor retried.
    left = table[~table["status"].isin(SETTLED)]
    fitted, advice, needed = None, None, list(left["flops"].sort_values(kind="stable").index)
    if len(done) >= FIRST_CELLS:
        try:
            fitted = fit(done, bootstrap=bootstrap, level=goal.level, count=count)
            advice = next_cells(goal, fitted, done, left)
            needed = list(left.index[list(advice.chosen)])
        except InputError:
            # Too few runs, or too similar ones, for a law: the next cheapest follow.
            fitted, advice = None, None
    spent, planned = float(done["flops"].sum()), float(table["flops"].sum())
    return AdaptiveResult(store, fitted, advice, tuple(needed), spent, planned)


def _affordable(
    costs: Iterable[tuple[str, float]], spent: float, max_flops: float | None
) -> set[str]:
    kept = set()
    for run_id, cost in costs:
        if max_flops is None or spent + cost <= max_flops:
            kept.add(run_id)
            spent += cost
    return kept


def _beyond_edges(study: Study, table: "pd.DataFrame", n_planned: int) -> list[PlannedRun]:
    """One more size where a budget's lowest loss is at the smallest or largest of its plan."""
    wider = list[PlannedRun]()
    if len(table) >= n_planned + _MOST_WIDER:
        return wider
    for _, cells in table.groupby("budget"):
        planned = float(cells["budget"].iloc[0])
        done = cells[cells["status"] == "finished"]
        sizes = np.unique(cells["params"].to_numpy(np.float64))
        if len(done) < _FEWEST_OF_A_BUDGET or len(sizes) < 2:
            continue
        lowest = done["params"].to_numpy(np.float64)[int(done["loss"].to_numpy().argmin())]
        if lowest not in (sizes[0], sizes[-1]):
            continue
        neighbour = sizes[1] if lowest == sizes[0] else sizes[-2]
        # A family, a corpus or a recipe can have no model of that size.
        with suppress(InputError):
            shape = study.recipe.family.nearest(lowest * lowest / neighbour)
            peers = [run.config.shape for run in study.plan() if run.budget == planned]
            *others, config = study.recipe.at_budget([*peers, shape], planned)
            # A size that the batch of the budget's other runs does not suit would be confounded.
            unchanged = others == study.recipe.at_budget(peers, planned)
            if unchanged and config.run_id not in table.index:
                wider.append(PlannedRun(config, planned, "grid", study.recipe.convention))
    return wider


def _round_text(state: AdaptiveResult, goal: Goal, n_next: int) -> str:
    at = f"{goal.quantity} at {goal.flops:.3g} FLOPs"
    spent = f"{state.flops:.3g} of {state.planned_flops:.3g} FLOPs spent"
    if state.advice is None:
        return f"{spent}: no law yet; {n_next} of the cheapest runs next"
    width = f"interval {state.advice.width:.4g} wide, goal {goal.width:.4g}"
    if state.reached:
        return f"{spent}: {at}: {width}; done"
    if not n_next:
        return f"{spent}: {at}: {width}; no run is left that could be trained"
    needed = len(state.needed)
    if not needed:
        return f"{spent}: {at}: {width}; {n_next} runs beyond the plan next"
    enough = (
        f"{needed} should be enough"
        if state.advice.enough
        else f"all {needed} that are left are not enough"
    )
    return f"{spent}: {at}: {width}; {n_next} runs next, {enough}"
