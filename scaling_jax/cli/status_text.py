"""Where a study stands, in words and as plain data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.report import under_way
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.study.status.standing import Standing

# A table of all of many runs would push the rest off the screen.
MOST_SHOWN = 12


def status_text(
    standing: "Standing", law: Mapping[str, Any] | None, price: float | None
) -> list[str | Table]:
    """Paragraphs and tables, in the order to show them in."""
    blocks: list[str | Table] = [_headline(standing, price)]
    if budgets := under_way.budget_rows(standing):
        blocks.append(Table(under_way.BUDGET_COLUMNS, budgets))
    if standing.at_work:
        columns = under_way.WORK_COLUMNS
        rows = [under_way.work_cells(one) for one in standing.at_work[:MOST_SHOWN]]
        blocks.append(Table(columns, rows, columns[:1]))
    if standing.failures:
        blocks.append("\n".join(map(under_way.lost_run, standing.failures)))
    if law is not None:
        blocks.append(law_text(standing, law))
    return blocks


def status_json(
    standing: "Standing", law: Mapping[str, Any] | None, price: float | None
) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "study": standing.name,
        "runs": len(standing.seen),
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
                "run_id": one.run.run_id,
                "step": one.step,
                "steps": one.run.planned.config.steps,
                "loss": one.loss,
            }
            for one in standing.at_work
        ],
        "failures": [
            {"run_id": one.run.run_id, "state": one.state, "reason": under_way.why_lost(one)}
            for one in standing.failures
        ],
        "flops_done": standing.flops_done,
        "flops_total": standing.flops_total,
        "flops_per_second": under_way.flops_per_second(standing),
        "seconds_left": standing.seconds_left,
        "device_seconds_left": standing.device_seconds_left,
        "price_left": _money(price, standing.device_seconds_left),
        "price_spent": _money(price, standing.device_seconds_spent),
        "law": law,
    }


def _headline(standing: "Standing", price: float | None) -> str:
    first = f"{standing.name}: {under_way.progress(standing)}"
    return "\n".join((first, under_way.time_left(standing), *_money_left(standing, price)))


def _money_left(standing: "Standing", price: float | None) -> list[str]:
    spent = _money(price, standing.device_seconds_spent)
    left = _money(price, standing.device_seconds_left)
    if spent is None:
        return []
    more = "an unknown sum" if left is None else f"{left:,.2f}"
    return [f"money: {spent:,.2f} spent on runs that are over, {more} left, at {price:g} an hour"]


def _money(price: float | None, seconds: float | None) -> float | None:
    return None if price is None or seconds is None else price * seconds / 3600


def law_text(standing: "Standing", law: Mapping[str, Any]) -> str:
    """The law so far with its intervals, or why there is none yet."""
    finished = len(standing.finished_ids)
    if "refused" in law:
        return f"No law yet from the {finished} runs that finished: {law['refused']}"
    intervals = {**(law["intervals"] or {}), **(law["exponent_intervals"] or {})}
    values = {**law["params"], **law["exponents"]}
    names = {"a": "a, N_opt ~ C^a", "b": "b, D_opt ~ C^b"}
    lines = [_constant(names.get(n, n), v, intervals.get(n)) for n, v in values.items()]
    missing = sum(budget.missing for budget in standing.budgets)
    of = f"{law['n_points']} finished runs" + (f", {missing} are missing" if missing else "")
    older = law["n_finished"] < finished
    more = f" ({finished - law['n_finished']} have finished since)" if older else ""
    level = formatting.level(law["level"])
    return "\n".join((f"Law so far: {law['law']}, from {of}{more}; {level} intervals", *lines))


def _constant(name: str, value: float, bounds: Any) -> str:
    def form(number: object) -> str:
        return formatting.significant(number, 4)

    between = formatting.interval(tuple(bounds) if bounds else None, form)
    return f"  {name:<15} {form(value):>8}" + (f"  ({between})" if between else "")
