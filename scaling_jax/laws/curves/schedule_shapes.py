"""Which runs have the same shape of schedule, so that their curves can be compared."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Columns of the records that make the shape of a run's schedule. Curves of different shapes do not
# collapse (Qiu et al. 2025, 2507.02119), so runs are compared with runs of their own shape alone.
SCHEDULE = ("schedule", "final_lr_fraction", "cycle", "cooldown_share")
# Warm-ups are rounded to whole steps, so their shares of a run differ a little.
_SAME_WARMUP = 0.02


def same_schedule(finished: "pd.DataFrame", run: "pd.Series") -> "pd.Series":
    """Which finished runs have the schedule shape of `run`, as far as the records say."""
    import pandas as pd

    same = pd.Series(True, index=finished.index)
    for name in SCHEDULE:
        if name in finished:
            same &= _equal(finished[name], run[name])
    if "warmup_steps" in finished and "steps" in finished:
        share = run["warmup_steps"] / run["steps"]
        same &= (finished["warmup_steps"] / finished["steps"] - share).abs() <= _SAME_WARMUP
    if "variation" in finished:
        same &= _equal(finished["variation"], run["variation"])
    return same


def other_shapes(run: "pd.Series", others: "pd.DataFrame") -> str:
    """A sentence on finished runs of other schedules, whose curves do not collapse with a run's."""
    if others.empty:
        return ""
    names = [name for name in SCHEDULE if name in others]
    differing = [name for name in names if not _equal(others[name], run[name]).all()]
    values = {name: sorted({str(value) for value in others[name]}) for name in differing}
    shown = "; ".join(
        f"{name} {', '.join(each)} beside {run[name]}" for name, each in values.items()
    )
    return (
        f". {len(others)} finished runs have schedules of another shape"
        f"{f' ({shown})' if shown else ''}, whose curves do not collapse with this one: for runs "
        "of one model, scaling-jax curves fits a law of schedules to them"
    )


def _equal(column: "pd.Series", value: Any) -> "pd.Series":
    # None and NaN differ from themselves.
    is_missing = value is None or value != value
    return column.isna() if is_missing else column == value
