"""Where a study stands, in words and as plain data."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scaling_jax.cli.output import Table, duration
from scaling_jax.report import formatting

if TYPE_CHECKING:
    from scaling_jax.study.standing import Seen, Standing

BUDGETS = ("budget", "finished", "missing", "best loss", "at N")
AT_WORK = ("at work", "layers x width", "step", "of", "done", "training loss")

# A table of all of many runs would push the rest off the screen.
MOST_SHOWN = 12


def status_text(
    standing: "Standing", law: Mapping[str, Any] | None, price: float | None
) -> list[str | Table]:
    """Paragraphs and tables, in the order to show them in."""
    blocks: list[str | Table] = [_headline(standing, price)]
    # Where every run has a budget of its own, a table of budgets is one of runs.
    if any(row.total > 1 for row in standing.budgets):
        blocks.append(_budgets(standing))
    if standing.at_work:
        blocks.append(_at_work(standing.at_work[:MOST_SHOWN]))
    if standing.failures:
        blocks.append("\n".join(map(_failure, standing.failures)))
    if law is not None:
        blocks.append(_law(standing, law))
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
            {"budget": row.flops, "missing": row.missing, **asdict(row)} for row in standing.budgets
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
            {"run_id": one.run.run_id, "state": one.state, "reason": _reason(one)}
            for one in standing.failures
        ],
        "flops_done": standing.flops_done,
        "flops_total": standing.flops_total,
        "flops_per_second": _rate(standing),
        "seconds_left": standing.seconds_left,
        "device_seconds_left": standing.device_seconds_left,
        "price_left": _money(price, standing.device_seconds_left),
        "price_spent": _money(price, standing.device_seconds_spent),
        "law": law,
    }


def _headline(standing: "Standing", price: float | None) -> str:
    states = ", ".join(f"{n} {state}" for state, n in standing.states.items())
    done, total = standing.flops_done, standing.flops_total
    share = f"{done / total:.0%} of {formatting.flops(total)} FLOPs done" if total else "no runs"
    rate = _rate(standing)
    speed = f", {formatting.flops(rate)} FLOP/s" if rate is not None else ""
    return "\n".join(
        (
            f"{standing.name}: {len(standing.seen)} runs: {states or 'none'}",
            f"{share}{speed}",
            _left(standing) + _money_left(standing, price),
        )
    )


def _left(standing: "Standing") -> str:
    seconds = standing.seconds_left
    if seconds is None:
        return "time left: unknown until a run has finished"
    if seconds == 0:
        return "nothing left to train"
    at_once = len(standing.at_work)
    how = f"{at_once} runs at once as now" if at_once > 1 else "one run after another"
    return f"time left: {duration(seconds)}, {how}, at the rate of those finished"


def _money_left(standing: "Standing", price: float | None) -> str:
    spent = _money(price, standing.device_seconds_spent)
    left = _money(price, standing.device_seconds_left)
    if spent is None:
        return ""
    more = "an unknown sum" if left is None else f"{left:,.2f}"
    return f"\nmoney: {spent:,.2f} spent on runs that are over, {more} left, at {price:g} an hour"


def _money(price: float | None, seconds: float | None) -> float | None:
    return None if price is None or seconds is None else price * seconds / 3600


def _rate(standing: "Standing") -> float | None:
    """FLOP/s of the study with what is at work now, everything beside training included."""
    left = standing.flops_total - standing.flops_done
    seconds = standing.seconds_left
    return left / seconds if seconds else None


def _budgets(standing: "Standing") -> Table:
    rows = [
        (
            formatting.flops(row.flops),
            f"{row.finished}/{row.total}",
            f"{row.missing}" if row.missing else "-",
            formatting.loss(row.best_loss) if row.best_loss is not None else "-",
            formatting.count(row.best_params) if row.best_params is not None else "-",
        )
        for row in standing.budgets
    ]
    return Table(BUDGETS, rows)


def _at_work(seen: "tuple[Seen, ...]") -> Table:
    rows = []
    for one in seen:
        shape = one.run.planned.config.shape
        rows.append(
            (
                one.run.run_id,
                f"{shape.n_layers} x {shape.d_model}",
                f"{one.step:,}",
                f"{one.run.planned.config.steps:,}",
                f"{one.share:.0%}",
                formatting.loss(one.loss) if one.loss is not None else "-",
            )
        )
    return Table(AT_WORK, rows, AT_WORK[:1])


def _failure(one: "Seen") -> str:
    return f"{one.state}: {one.run.run_id}: {_reason(one)}"


def _reason(one: "Seen") -> str:
    if one.state == "diverged":
        return f"loss or gradient was not finite at step {one.step:,}"
    return one.run.failure or "no reason is recorded"


def _law(standing: "Standing", law: Mapping[str, Any]) -> str:
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
    return f"  {name:<19} {form(value):>8}" + (f"  ({between})" if between else "")
