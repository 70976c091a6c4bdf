"""`status`: where a study stands."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax.cli.arguments import Json, StoreDirectory
from scaling_jax.cli.output import Table, duration, print_json, print_table
from scaling_jax.report import formatting

if TYPE_CHECKING:
    from scaling_jax.study import StoredRun
    from scaling_jax.train import Result

OVER = ("finished", "diverged")


@dataclass(frozen=True)
class _Seen:
    """One run as it was when looked at, so that every number speaks of the same moment."""

    run: "StoredRun"
    state: str
    result: "Result | None"


def status(directory: StoreDirectory, /, *, json: Json = False) -> None:
    """Show how far a study is: its runs by state, each budget, failures, and the time left."""
    from scaling_jax.study import Store

    store = Store.open(directory)
    seen = [_Seen(run, run.state, run.result) for run in store.runs()]
    summary: dict[str, Any] = {
        "study": store.study["name"],
        "runs": len(seen),
        "states": dict(Counter(one.state for one in seen)),
        "budgets": _budgets(seen),
        "failures": [
            {"run_id": one.run.run_id, "reason": one.run.failure}
            for one in seen
            if one.state == "failed"
        ],
        "seconds_left": _seconds_left(seen),
    }
    if json:
        print_json(summary)
    else:
        _print(summary)


def _budgets(seen: list[_Seen]) -> list[dict[str, Any]]:
    rows = []
    for budget in sorted({one.run.planned.budget for one in seen}):
        here = [one for one in seen if one.run.planned.budget == budget]
        losses = [one.result.loss for one in here if one.result and one.result.loss is not None]
        rows.append(
            {
                "budget": budget,
                "done": sum(one.state in OVER for one in here),
                "total": len(here),
                "best_loss": min(losses, default=None),
            }
        )
    return rows


def _seconds_left(seen: list[_Seen]) -> float | None:
    """Seconds for the unfinished runs, one after another, at the finished runs' mean rate."""
    left = sum(one.run.planned.flops_spent for one in seen if one.state not in OVER)
    if not left:
        return 0.0
    measured = [one for one in seen if one.result and one.result.status == "finished"]
    spent = sum(sum(one.result.seconds.values()) for one in measured if one.result)
    done = sum(one.run.planned.flops_spent for one in measured)
    return left * spent / done if done and spent else None


def _print(summary: dict[str, Any]) -> None:
    states = ", ".join(f"{n} {state}" for state, n in summary["states"].items())
    print(f"{summary['study']}: {summary['runs']} runs: {states or 'none'}")
    rows = [
        (
            formatting.flops(row["budget"]),
            f"{row['done']}/{row['total']}",
            formatting.loss(row["best_loss"]) if row["best_loss"] is not None else "-",
        )
        for row in summary["budgets"]
    ]
    print()
    print_table(Table(("budget", "done", "best loss"), rows))
    for failure in summary["failures"]:
        print(f"failed: {failure['run_id']}: {failure['reason']}")
    print()
    print(_time_left(summary["seconds_left"]))


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return "time left: unknown until a run has finished"
    if seconds == 0:
        return "nothing left to train"
    return f"time left: {duration(seconds)}, one run after another at the rate of those finished"
