"""Which runs have the recipe of another, so that their curves can be compared."""

from typing import TYPE_CHECKING, Any

from scaling_jax.laws.diagnostics.mixed_recipes import CONSTANT_KNOBS, without_seed

if TYPE_CHECKING:
    import pandas as pd

# What a run keeps or how it is counted does not change the run's curve, and the fingerprint of the
# data is known once a run has begun.
_WITHOUT_EFFECT = (
    *("data_fingerprint", "convention", "flops_counted_by"),
    *("eval_tokens", "eval_every", "curve_tokens", "evals", "noise_scale"),
)
# Columns of the records that make the recipe. Curves of different shapes of the schedule do not
# collapse (Qiu et al. 2025, 2507.02119), nor do those of different data or architectures.
_RECIPE = tuple(name for name in CONSTANT_KNOBS if name not in _WITHOUT_EFFECT)
# Warm-ups are rounded to whole steps, so their shares of a run differ a little.
_SAME_WARMUP = 0.02


def same_recipe(finished: "pd.DataFrame", run: "pd.Series") -> "pd.Series":
    """Which finished runs have the recipe of `run`, as far as the records say.

    Runs of one recipe differ in size, length and seed, and in what a rule makes of these.
    """
    import pandas as pd

    same = pd.Series(True, index=finished.index)
    for name in _RECIPE:
        if name in finished:
            same &= _equal(finished[name], run[name])
    if "warmup_steps" in finished and "steps" in finished:
        share = run["warmup_steps"] / run["steps"]
        same &= (finished["warmup_steps"] / finished["steps"] - share).abs() <= _SAME_WARMUP
    if "variation" in finished:
        same &= _equal(finished["variation"].map(_without_seed), _without_seed(run["variation"]))
    return same


def other_recipes(run: "pd.Series", others: "pd.DataFrame") -> str:
    """A sentence on finished runs of other recipes, whose curves do not collapse with a run's."""
    if others.empty:
        return ""
    names = [name for name in _RECIPE if name in others]
    differing = [name for name in names if not _equal(others[name], run[name]).all()]
    values = {name: sorted({str(value) for value in others[name]}) for name in differing}
    shown = "; ".join(
        f"{name} {', '.join(each)} beside {run[name]}" for name, each in values.items()
    )
    return (
        f". {len(others)} finished runs have another recipe"
        f"{f' ({shown})' if shown else ''}, and their curves do not collapse with this one: for "
        "runs of one model under several schedules, scaling-jax curves fits a law of schedules"
    )


def _without_seed(variation: Any) -> Any:
    return without_seed(variation) if isinstance(variation, str) else None


def _equal(column: "pd.Series", value: Any) -> "pd.Series":
    # None and NaN differ from themselves.
    is_missing = value is None or value != value
    return column.isna() if is_missing else column == value
