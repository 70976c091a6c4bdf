"""The state of a study as sentences, tables and plain data."""

from collections.abc import Mapping
from typing import Any

from scaling_jax import formatting
from scaling_jax.study.status.run_ends import EndsSoFar
from scaling_jax.study.status.standing import Budget, RunStatus, Standing
from scaling_jax.text_table import Table

BUDGET_COLUMNS = ("budget", "finished", "missing", "best loss", "at total N")
WORK_COLUMNS = ("at work", "layers x width", "step", "done", "loss")

# A table of more runs would push the rest off the screen.
_MOST_SHOWN = 12


def status_text(
    standing: Standing,
    law: Mapping[str, Any] | None = None,
    price: float | None = None,
    ends: EndsSoFar | None = None,
) -> list[str | Table]:
    """Paragraphs and tables about a study, in the order to show them in.

    Args:
        standing: the state of the study.
        law: as `InterimLaw.law` gives it; the text is without a law if None.
        price: of a device-hour; the text is without money if None.
        ends: the expected ends of runs at work, if they are asked for.
    """
    blocks: list[str | Table] = [_headline(standing, price)]
    if budgets := budget_rows(standing):
        blocks.append(Table(BUDGET_COLUMNS, budgets))
    if standing.at_work:
        rows = [work_cells(status) for status in standing.at_work[:_MOST_SHOWN]]
        blocks.append(Table(WORK_COLUMNS, rows, WORK_COLUMNS[:1]))
    if ends is not None:
        blocks += ends.text()
    if standing.failures:
        blocks.append("\n".join(map(failed_run, standing.failures)))
    if standing.problems:
        blocks.append("\n".join(standing.problems))
    if law is not None:
        blocks.append(law_text(standing, law))
    return blocks


def status_data(
    standing: Standing,
    law: Mapping[str, Any] | None = None,
    price: float | None = None,
    ends: EndsSoFar | None = None,
) -> dict[str, Any]:
    """The content of `status_text` as plain data, with every run that is at work."""
    return {
        "study": standing.name,
        "runs": len(standing.runs),
        "states": standing.states,
        "budgets": [
            {
                "budget": row.flops,
                "finished": row.finished,
                "missing": row.missing,
                "total": row.total,
                "best_loss": row.best_loss,
                "best_params": row.best_params,
            }
            for row in standing.budgets
        ],
        "at_work": [
            {
                "run_id": status.run.run_id,
                "step": status.step,
                "steps": status.run.planned.config.steps,
                "loss": status.loss,
            }
            for status in standing.at_work
        ],
        **({} if ends is None else {"ends": ends.data()}),
        "failures": [
            {"run_id": status.run.run_id, "state": status.state, "reason": status.failure}
            for status in standing.failures
        ],
        "problems": list(standing.problems),
        "flops_done": standing.flops_done,
        "flops_total": standing.flops_total,
        "flops_per_second": standing.flops_per_second,
        "seconds_left": standing.seconds_left,
        "device_seconds_left": standing.device_seconds_left,
        "price_left": _money(price, standing.device_seconds_left),
        "price_spent": _money(price, standing.device_seconds_spent),
        "law": law,
    }


def progress(standing: Standing) -> str:
    """Number of runs in each state, and the share of FLOPs done."""
    states = ", ".join(f"{n} {state}" for state, n in standing.states.items())
    total, rate = standing.flops_total, standing.flops_per_second
    share = f"{standing.flops_done / total:.0%} of {formatting.flops(total)} FLOPs done"
    speed = f" at {formatting.flops(rate)} FLOP/s" if rate is not None else ""
    return f"{len(standing.runs)} runs: {states}; {share}{speed}"


def time_left(standing: Standing) -> str:
    """How long the rest of the study will take, at the speed of the finished runs."""
    seconds = standing.seconds_left
    if seconds is None:
        return "time left: unknown until a run has finished"
    if seconds == 0:
        return "nothing left to train"
    at_once = len(standing.at_work)
    how = f"{at_once} runs at once as now" if at_once > 1 else "one run after another"
    return f"time left: {formatting.seconds(seconds)}, {how}, at the speed of the finished runs"


def budget_rows(standing: Standing) -> tuple[tuple[str, ...], ...]:
    """One row of cells per budget; no rows if every run has a budget of its own."""
    if all(row.total == 1 for row in standing.budgets):
        return ()
    return tuple(map(_budget_cells, standing.budgets))


def work_cells(status: RunStatus) -> tuple[str, ...]:
    """Cells for a run that is at work: its size, its progress, and its training loss."""
    config = status.run.planned.config
    return (
        status.run.run_id,
        f"{config.shape.n_layers} x {config.shape.d_model}",
        f"{status.step:,} of {config.steps:,}",
        f"{status.share:.0%}",
        formatting.loss(status.loss) if status.loss is not None else "-",
    )


def failed_run(status: RunStatus) -> str:
    """A line that names a failed or diverged run and says why it has no loss."""
    return f"{status.state}: {status.run.run_id}: {status.failure}"


def law_text(standing: Standing, law: Mapping[str, Any]) -> str:
    """The law so far with its intervals, or why there is none yet."""
    finished = len(standing.finished_ids)
    if "refused" in law:
        return f"No law yet from the {finished} runs that finished: {law['refused']}"
    intervals = {**(law["intervals"] or {}), **(law["exponent_intervals"] or {})}
    values = {**law["params"], **law["exponents"]}
    names = {"a": "a, N_opt ~ C^a", "b": "b, D_opt ~ C^b"}
    lines = [_constant(names.get(n, n), v, intervals.get(n)) for n, v in values.items()]
    missing = sum(budget.missing for budget in standing.budgets)
    points = f"{law['n_points']} finished runs" + (f", {missing} are missing" if missing else "")
    newer = finished - law["n_finished"]
    more = f" ({newer} have finished since)" if newer > 0 else ""
    level = formatting.level(law["level"])
    return "\n".join((f"Law so far: {law['law']}, from {points}{more}; {level} intervals", *lines))


def _headline(standing: Standing, price: float | None) -> str:
    first = f"{standing.name}: {progress(standing)}"
    return "\n".join((first, time_left(standing), *_money_left(standing, price)))


def _money_left(standing: Standing, price: float | None) -> list[str]:
    spent = _money(price, standing.device_seconds_spent)
    left = _money(price, standing.device_seconds_left)
    if spent is None:
        return []
    more = "an unknown sum" if left is None else f"{left:,.2f}"
    return [f"money: {spent:,.2f} spent on runs that ended, {more} left, at {price:g} an hour"]


def _money(price: float | None, seconds: float | None) -> float | None:
    return None if price is None or seconds is None else price * seconds / 3600


def _budget_cells(row: Budget) -> tuple[str, ...]:
    return (
        formatting.flops(row.flops),
        f"{row.finished}/{row.total}",
        f"{row.missing}" if row.missing else "-",
        formatting.loss(row.best_loss) if row.best_loss is not None else "-",
        formatting.count(row.best_params) if row.best_params is not None else "-",
    )


def _constant(name: str, value: float, bounds: Any) -> str:
    def form(number: object) -> str:
        return formatting.significant(number, 4)

    between = formatting.interval(tuple(bounds) if bounds else None, form)
    return f"  {name:<15} {form(value):>8}" + (f"  ({between})" if between else "")
