"""What a plan costs on given chips: memory, time and money of every run."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.accounting import flops
from scaling_jax.accounting.hardware import GIB, Chip
from scaling_jax.aot.estimate import options_that_fit
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.execution_choice import Chips, is_given
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.text_needs import TextCheck, check_text
from scaling_jax.study.status.design_checks import scored_warnings
from scaling_jax.study.status.design_score import design_score
from scaling_jax.study.status.measurement_cost import Measurements
from scaling_jax.study.status.run_cost import (
    THIS_MACHINE,
    Machine,
    RunCost,
    require_price,
    run_cost,
)
from scaling_jax.study.status.speed import Speed, measured_speed
from scaling_jax.study.store.store import Store
from scaling_jax.system.files import absolute

if TYPE_CHECKING:
    from scaling_jax.laws.planning.design_score import DesignScore

# The share of training's FLOPs that evaluation along the runs may take without a warning.
_MOST_EVALUATION = 0.1


@dataclass(frozen=True)
class PlanCost:
    """A plan with the cost of every run.

    Attributes:
        study: the study that was planned.
        machine: the chips.
        execution: how each run is computed, as given; `RunCost.execution` has what was left open.
        speed: speed of finished runs on such a chip, from which the time is estimated; None where
            the time follows from `machine.utilization`.
        runs: the plan, ordered by budget and then by size.
        costs: one for each of `runs`.
        cache_dir: where tokens are kept.
    """

    study: Study
    machine: Machine
    execution: Execution
    speed: Speed | None
    runs: tuple[PlannedRun, ...]
    costs: tuple[RunCost, ...]
    cache_dir: str | None = None

    @cached_property
    def seconds(self) -> float:
        """Time of all runs, one after another."""
        return sum(cost.seconds for cost in self.costs)

    @property
    def price(self) -> float | None:
        """Price of all runs; None without a price of a chip-hour."""
        if self.machine.price is None:
            return None
        return sum(cost.price or 0.0 for cost in self.costs)

    @property
    def time_source(self) -> str:
        """A sentence that says what the time is estimated from."""
        if self.speed is None:
            return f"Time is at an assumed {self.machine.utilization:.0%} of their peak."
        slowest, fastest = min(self.speed.rates), max(self.speed.rates)
        return (
            f"Time is by the {self.speed.n_runs} runs that finished on {self.machine.chip.name} at "
            f"{formatting.flops(slowest)} to {formatting.flops(fastest)} FLOP/s a device, with "
            f"{formatting.seconds(self.speed.overhead)} each beside training."
        )

    @cached_property
    def score(self) -> "DesignScore | None":
        """The interval of the answer that the study is expected to give, as `design_score`'s."""
        return design_score(self.study)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about runs that do not fit and about what the design cannot identify."""
        return (
            *self._memory_warning(),
            *self._evaluation_warning(),
            *self.text.warnings,
            *scored_warnings(self.study, self.score),
        )

    @cached_property
    def text(self) -> TextCheck:
        """What is wrong with the runs' text, as far as it can be read without a download."""
        return check_text([run.config for run in self.runs], self.cache_dir, download=False)

    @property
    def evaluation_flops(self) -> int:
        """FLOPs of all evaluations on text and tasks, which `flops` of the runs do not include."""
        return sum(cost.measurements.along + cost.measurements.at_end for cost in self.costs)

    @property
    def noise_flops(self) -> int:
        """FLOPs of all measurements of the gradient noise, which no other count includes."""
        return sum(cost.measurements.noise for cost in self.costs)

    def _evaluation_warning(self) -> list[str]:
        """A sentence if evaluation along the runs takes more than a tenth of their training."""
        along = sum(cost.measurements.along for cost in self.costs)
        share = along / sum(cost.training_flops for cost in self.costs)
        if share <= _MOST_EVALUATION:
            return []
        largest = max(cost.measurements.along / cost.training_flops for cost in self.costs)
        has_tasks = any(each.is_task for run in self.runs for each in run.config.evals)
        questions = ", fewer questions at a point (?curve=N of a task)" if has_tasks else ""
        return [
            f"Evaluation along the runs takes {share:.0%} of their training FLOPs, up to "
            f"{largest:.0%} of one run's: take fewer points (eval_every), fewer tokens for each "
            f"(curve_tokens){questions} or fewer sets (evals)"
        ]

    def _memory_warning(self) -> list[str]:
        pairs = zip(self.runs, self.costs, strict=True)
        over = [(run, cost) for run, cost in pairs if not cost.fits]
        if not over:
            return []
        given = is_given(self.execution)
        return [_given_warning(self, over) if given else _chosen_warning(self, over)]


def _given_warning(plan: PlanCost, over: "list[tuple[PlannedRun, RunCost]]") -> str:
    """The warning that runs do not fit as the user has chosen, and what would fit."""
    chip = plan.machine.chip
    run, cost = max(over, key=lambda pair: pair[1].memory.total)
    params = flops.count_params(run.config.shape).total
    remedy = options_that_fit(run.config, plan.execution, Chips(chip, plan.machine.chips))
    return (
        f"{len(over)} of {len(plan.runs)} runs need more than the {chip.usable_bytes / GIB:.3g} "
        f"GiB of one {chip.name} that a program can have; the largest, of {params:.3g} "
        f"parameters, needs {cost.memory.total / GIB:,.0f} GiB per chip. "
        + (f"It is estimated to fit with {remedy}" if remedy else "Nothing here makes it fit")
        + (f"; as it is, on {cost.fits_on:,} chips" if cost.fits_on else "")
    )


def _chosen_warning(plan: PlanCost, over: "list[tuple[PlannedRun, RunCost]]") -> str:
    """The warning that runs fit with no choice, each size with the chips that it fits on."""
    chip, n = plan.machine.chip, plan.machine.chips
    sizes = {flops.count_params(run.config.shape).total: cost for run, cost in over}
    named = [
        f"{formatting.count(params)} parameters "
        + (f"(fits on {cost.fits_on:,})" if cost.fits_on else "(fits on no number of them)")
        for params, cost in sorted(sizes.items())
    ]
    return (
        f"no recomputation, microbatches or mesh is estimated to make {len(over)} of "
        f"{len(plan.runs)} runs fit on {n:,} {chip.name}: those of {', '.join(named)}"
    )


def cost(
    study: Study,
    machine: Machine = THIS_MACHINE,
    execution: Execution = DEFAULT,
    root: str | None = None,
    cache_dir: str | None = None,
) -> PlanCost:
    """Estimate memory, time and money of every run of a study, without training anything.

    >>> from scaling_jax.study import load_experiment
    >>> study = load_experiment("experiments/chinchilla_isoflop.py", "cpu")
    >>> plan = cost(study, Machine("v5e", chips=4, price=1.2))
    >>> len(plan.runs) == len(study.plan())
    True

    Args:
        study: its plan is priced.
        machine: the chips; one chip of this machine by default.
        execution: how each run is computed.
        root: a directory of finished runs. Where some ran on such a chip, the time is estimated
            from their speed. It need not exist yet.
        cache_dir: where tokens are kept: a directory, or a bucket; None for the user's cache.

    Raises:
        InputError: an unknown chip, a negative or infinite price, a run that does not divide over
            the chips, or a choice that the chips do not support.
    """
    # Imported here, since the package of a corpus is only needed once its text is read.
    from scaling_jax.data import place

    require_price(machine.price)
    place(cache_dir)
    chip = machine.chip
    speed = None if root is None else _measured_speed(study, root, chip)
    runs = sorted(study.plan(), key=lambda run: (run.budget, run.flops / run.config.tokens))
    priced = Measurements()
    costs = tuple(run_cost(run, machine, execution, speed, priced) for run in runs)
    return PlanCost(study, machine, execution, speed, tuple(runs), costs, cache_dir)


def _measured_speed(study: Study, root: str, chip: Chip) -> Speed | None:
    """Speed on such a chip: from the study's own directory in `root`, else from the one there."""
    base = absolute(root)
    if not (base / "study.json").exists() and not any(base.glob("*/study.json")):
        return None  # Nothing was trained there yet.
    own = base / study.name
    store = Store.open(own if (own / "study.json").exists() else base)
    return measured_speed(store.runs(), on=chip.name)
