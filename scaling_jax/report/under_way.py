"""Progress of a study that is being trained, as sentences and table rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax import formatting

if TYPE_CHECKING:
    from scaling_jax.study.status.standing import Budget, Seen, Standing

BUDGET_COLUMNS = ("budget", "finished", "missing", "best loss", "at total N")
WORK_COLUMNS = ("at work", "layers x width", "step", "done", "loss")


@dataclass(frozen=True)
class UnderWay:
    """What the page shows of a study that is being trained.

    Attributes:
        summary: how many of the runs have finished.
        sentences: progress, and the time left.
        done: share of the study's FLOPs in percent.
        budgets, at_work: rows of the tables; `budgets` is empty if every run has its own budget.
        lost: one sentence for each run that failed or diverged.
    """

    summary: str
    sentences: tuple[str, ...]
    done: float
    budgets: tuple[tuple[str, ...], ...]
    at_work: tuple[tuple[str, ...], ...]
    lost: tuple[str, ...]


def under_way(standing: "Standing") -> UnderWay:
    """The content of `UnderWay` for the state of a study at one moment."""
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
    """A sentence with the runs of each state and the share of FLOPs done."""
    states = ", ".join(f"{n} {state}" for state, n in standing.states.items())
    total, rate = standing.flops_total, flops_per_second(standing)
    share = f"{standing.flops_done / total:.0%} of {formatting.flops(total)} FLOPs done"
    speed = f" at {formatting.flops(rate)} FLOP/s" if rate is not None else ""
    return f"{len(standing.seen)} runs: {states}; {share}{speed}"


def time_left(standing: "Standing") -> str:
    """A sentence with the time left, estimated from the finished runs."""
    seconds = standing.seconds_left
    if seconds is None:
        return "time left: unknown until a run has finished"
    if seconds == 0:
        return "nothing left to train"
    at_once = len(standing.at_work)
    how = f"{at_once} runs at once as now" if at_once > 1 else "one run after another"
    return f"time left: {formatting.seconds(seconds)}, {how}, at the rate of those finished"


def flops_per_second(standing: "Standing") -> float | None:
    """FLOP/s of the study with the runs that train now, compilation and loading included."""
    seconds = standing.seconds_left
    return (standing.flops_total - standing.flops_done) / seconds if seconds else None


def budget_rows(standing: "Standing") -> tuple[tuple[str, ...], ...]:
    """One row per budget; empty if every run has its own budget."""
    if all(row.total == 1 for row in standing.budgets):
        return ()
    return tuple(map(_budget_cells, standing.budgets))


def work_cells(one: "Seen") -> tuple[str, ...]:
    """A row for a run that trains now: id, shape, step, share done and training loss."""
    config = one.run.planned.config
    return (
        one.run.run_id,
        f"{config.shape.n_layers} x {config.shape.d_model}",
        f"{one.step:,} of {config.steps:,}",
        f"{one.share:.0%}",
        formatting.loss(one.loss) if one.loss is not None else "-",
    )


def lost_run(one: "Seen") -> str:
    """The state of a failed or diverged run, its id and the reason."""
    return f"{one.state}: {one.run.run_id}: {why_lost(one)}"


def why_lost(one: "Seen") -> str:
    """Why a run failed or diverged."""
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
