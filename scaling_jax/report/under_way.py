"""Progress of a study that is being trained, as sentences and table rows."""

from dataclasses import dataclass

from scaling_jax.study.status.standing import Standing
from scaling_jax.study.status.standing_text import (
    budget_rows,
    failed_run,
    progress,
    time_left,
    work_cells,
)


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


def under_way(standing: Standing) -> UnderWay:
    """The content of `UnderWay` for the state of a study at one moment."""
    total = standing.flops_total
    return UnderWay(
        summary=f"{len(standing.finished_ids)} of {len(standing.runs)} runs finished",
        sentences=(progress(standing), time_left(standing)),
        done=100 * standing.flops_done / total if total else 0.0,
        budgets=budget_rows(standing),
        at_work=tuple(map(work_cells, standing.at_work)),
        lost=tuple(map(failed_run, standing.failures)),
    )
