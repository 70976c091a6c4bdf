"""A study that is not over, in words and rows: progress, what is at work, what is missing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax import formatting

if TYPE_CHECKING:
    from scaling_jax.study.status.standing import Budget, Seen, Standing

BUDGET_COLUMNS = ("budget", "finished", "missing", "best loss", "at total N")
WORK_COLUMNS = ("at work", "layers x width", "step", "done", "loss")


@dataclass(frozen=True)
class UnderWay:
    """What a page shows of a study that is not over.

    Attributes:
        summary: how many runs finished, of how many.
        sentences: progress, and the time left.
        done: share of the study's FLOPs in percent.
        budgets, at_work: cells of the tables; no budgets where every run has its own.
        lost: what became of the runs that are over without a loss.
    """

    summary: str
    sentences: tuple[str, ...]
    done: float
    budgets: tuple[tuple[str, ...], ...]
    at_work: tuple[tuple[str, ...], ...]
    lost: tuple[str, ...]


def under_way(standing: "Standing") -> UnderWay:
    """The same of a study at one moment."""
    total = standing.flops_total
    return UnderWay(
        summary=f"{len(standing.finished_ids)} of {len(standing.seen)} runs finished",
        sentences=(progress(standing), time_left(standing)),
        done=100 * standing.flops_done / total if total else 0.0,
        budgets=budget_rows(standing),
        at_work=tuple(map(work_cells, standing.at_work)),
        lost=tuple(map(lost_run, standing.failures)),
    )


def progress(standing: "Standing") -> str:
    """Runs by state, and the share of FLOPs done."""
    states = ", ".join(f"{n} {state}" for state, n in standing.states.items())
    total, rate = standing.flops_total, flops_per_second(standing)
    share = f"{standing.flops_done / total:.0%} of {formatting.flops(total)} FLOPs done"
    speed = f" at {formatting.flops(rate)} FLOP/s" if rate is not None else ""
    return f"{len(standing.seen)} runs: {states}; {share}{speed}"


def time_left(standing: "Standing") -> str:
    """How long the unfinished runs take, as far as finished ones tell."""
    seconds = standing.seconds_left
    if seconds is None:
        return "time left: unknown until a run has finished"
    if seconds == 0:
        return "nothing left to train"
    at_once = len(standing.at_work)
    how = f"{at_once} runs at once as now" if at_once > 1 else "one run after another"
    return f"time left: {formatting.seconds(seconds)}, {how}, at the rate of those finished"


def flops_per_second(standing: "Standing") -> float | None:
    """FLOP/s of the study with what is at work now, everything beside training included."""
    seconds = standing.seconds_left
    return (standing.flops_total - standing.flops_done) / seconds if seconds else None


def budget_rows(standing: "Standing") -> tuple[tuple[str, ...], ...]:
    """Cells by budget; none where every run has its own, so that they would be a table of runs."""
    if all(row.total == 1 for row in standing.budgets):
        return ()
    return tuple(map(_budget_cells, standing.budgets))


def work_cells(one: "Seen") -> tuple[str, ...]:
    """A run at work: how large, how far, and its training loss there."""
    config = one.run.planned.config
    return (
        one.run.run_id,
        f"{config.shape.n_layers} x {config.shape.d_model}",
        f"{one.step:,} of {config.steps:,}",
        f"{one.share:.0%}",
        formatting.loss(one.loss) if one.loss is not None else "-",
    )


def lost_run(one: "Seen") -> str:
    """A run that is over without a loss, and why."""
    return f"{one.state}: {one.run.run_id}: {why_lost(one)}"


def why_lost(one: "Seen") -> str:
    """The reason alone."""
    if one.state == "diverged":
        return f"loss or gradient was not finite at step {one.step:,}"
    return one.run.failure or "no reason is recorded"


def _budget_cells(row: "Budget") -> tuple[str, ...]:
    return (
        formatting.flops(row.flops),
        f"{row.finished}/{row.total}",
        f"{row.missing}" if row.missing else "-",
        formatting.loss(row.best_loss) if row.best_loss is not None else "-",
        formatting.count(row.best_params) if row.best_params is not None else "-",
    )
