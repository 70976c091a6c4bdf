"""Fits of groups of a table, such as the variations of a sweep, and how they differ."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.allocation import Estimate, interval
from scaling_jax.laws.catalogue.find import AUTO, law_or_default
from scaling_jax.laws.conventions import SAME_LENGTH
from scaling_jax.laws.diagnostics.mixed_recipes import without_seed
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.fitting import fit
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.read import Table, load_table
from scaling_jax.laws.tables.select import fitted_rows

if TYPE_CHECKING:
    import pandas as pd

VARIATION = "variation"


@dataclass(frozen=True)
class Contrast:
    """How an exponent, or a constant of a law without a frontier, differs from the first group's.

    Attributes:
        group: the other group.
        name: of the exponent or constant.
        difference: the group's minus the first group's, with its interval.
        paired: whether resamples of both groups were drawn together, run by run.
    """

    group: str
    name: str
    difference: Estimate
    paired: bool


@dataclass(frozen=True)
class GroupedFits:
    """The fit of every group of a table.

    Attributes:
        by: the column whose values are the groups.
        fits: group -> fit, the group that the others are compared with first.
        refused: group -> why its rows do not allow a fit.
        paired: groups whose resamples were drawn together with those of the first.
    """

    by: str
    fits: Mapping[str, Fit]
    refused: Mapping[str, str]
    paired: tuple[str, ...]

    @property
    def budget(self) -> float:
        """The largest FLOPs that the rows of every group reach; NaN where they have none."""
        return min(fit.flops_range[1] for fit in self.fits.values())

    def contrasts(self) -> list[Contrast]:
        """Differences of every group from the first, in each exponent of the optimum.

        Laws without a compute-optimal frontier are compared in their constants. The interval is
        that of the differences of the resamples, at the level of the fits.
        """
        if not self.fits:
            return []
        (_, base), *others = self.fits.items()
        return [
            Contrast(group, name, _difference(base, other, name), group in self.paired)
            for group, other in others
            for name in _compared(base)
            if name in _compared(other)
        ]

    def describe(self) -> str:
        """The groups side by side and how they differ; also `str(fits)`."""
        from scaling_jax.formatting import plain_spaces
        from scaling_jax.laws.grouping_text import grouped_text

        return plain_spaces("\n".join(map(str, grouped_text(self))))

    def __str__(self) -> str:
        return self.describe()


def fit_by(table: Table, by: str, *, approach: int = 3, **options: Any) -> GroupedFits:
    """Fit every group of a table on its own, and compare the groups.

    Runs of two groups are matched if they are as many, of the same sizes and lengths. Resamples of
    matched groups are drawn together where the approach allows it: residuals of matched runs then
    keep their correlation, which comes from what the runs share, such as the text. Other groups
    are resampled independently, which makes intervals of differences wide rather than narrow.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax import laws
    >>> n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 4), [1e8, 1e9, 1e10]))
    >>> table = pd.DataFrame({"params": n, "tokens": d})
    >>> losses = {name: 1.7 + 400 / n**a + 410 / d**0.28 for name, a in (("x", 0.34), ("y", 0.4))}
    >>> table = pd.concat(table.assign(data=name, loss=loss) for name, loss in losses.items())
    >>> fits = laws.fit_by(table, "data", bootstrap=0)
    >>> [(name, round(fit.params["alpha"], 2)) for name, fit in fits.fits.items()]
    [('x', 0.34), ('y', 0.4)]

    Args:
        table: as `fit` takes it.
        by: a column whose values are the groups, such as `variation`. `COLUMN=VALUE` names the
            group that the others are compared with; by default it is the least number, or the
            first text in the table. Variations that differ only in the seed are one group.
        approach: 1, 2 or 3, as `fit` takes it.
        **options: options of `fit`. `training_curves` are divided as the table is, by `run_id`.

    Raises:
        InputError: a table without this column or with a single value in it, or no group that can
            be fitted.
    """
    found = fit_groups(table, by, approach=approach, **options)
    if not found.fits:
        name, reason = next(iter(found.refused.items()))
        raise InputError(f"no group of {found.by!r} can be fitted; {name}: {reason}")
    return found


def fit_groups(table: Table, by: str, *, approach: int = 3, **options: Any) -> GroupedFits:
    """As `fit_by`, which takes the same, but without a fit where no group can be fitted.

    Raises:
        InputError: a table without this column or with a single value in it.
    """
    law, curves = options.pop("law", None), options.pop("training_curves", None)
    columns = options.pop("columns", None)
    given = Options(**{k: v for k, v in options.items() if k != "unit"})
    form = law_or_default(law)
    frame = load_table(table, form, columns)
    column, groups = by.partition("=")[0], group_rows(frame, by)
    base = next(iter(groups))
    same = {name for name, rows in groups.items() if name == base or _alike(groups[base], rows)}
    pairs = len(same) > 1 and _can_pair(approach, law, given)
    if pairs and approach == 3 and given.resampling is None and not _repeats(groups[base]):
        options["resampling"] = "paired"
    fits: dict[str, Fit] = {}
    refused: dict[str, str] = {}
    for number, (name, rows) in enumerate(groups.items()):
        together = pairs and name in same
        used = options | {"seed": given.seed + (0 if together else number)}
        if not together and used.get("resampling") == "paired":
            del used["resampling"]
        of_group = None if curves is None else curves[curves["run_id"].isin(rows["run_id"])]
        try:
            fits[name] = fit(rows, approach=approach, law=law, training_curves=of_group, **used)
        except InputError as error:
            refused[name] = str(error)
    if base in refused:
        pairs = False
    paired = tuple(name for name in fits if pairs and name in same and name != base)
    return GroupedFits(column, fits, refused, paired)


def side_by_side(table: "pd.DataFrame", by: str) -> "pd.DataFrame":
    """The losses of every group beside each other: a row for each size and length.

    Runs of one group, size and length, such as those of several seeds, are averaged. Lengths are
    in one row if they are the same.

    Raises:
        InputError: a table without the column, or with a single value in it.
    """
    groups = group_rows(fitted_rows(table), by)
    labelled = {
        name: rows.groupby(["params", "tokens"])["loss"].mean().rename(f"loss {name}")
        for name, rows in groups.items()
    }
    first_name, *others = labelled
    joined = labelled[first_name].to_frame()
    for name in others:
        joined = joined.join(labelled[name], how="outer")
    return joined.sort_index().reset_index()


def group_rows(frame: "pd.DataFrame", by: str) -> "dict[str, pd.DataFrame]":
    """Label -> rows, sorted alike in every group; rows without a value are left out.

    Raises:
        InputError: a table without the column, or with a single value in it.
    """
    column, _, first = by.partition("=")
    if column not in frame:
        raise InputError(f"the table has no column {column!r}{suggestion(column, list(frame))}")
    value_N = frame[column]
    if column == VARIATION:
        value_N = value_N.map(lambda name: without_seed(str(name)), na_action="ignore")
    values = value_N.dropna()
    if values.nunique() < 2:
        one = f"the one value {values.iloc[0]}" if len(values) else "no values"
        raise InputError(
            f"column {column!r} has {one}, so there are no groups to compare: fit the table "
            "without --by, or group by another column"
        )
    numeric = values.dtype.kind in "iuf"
    order = sorted(values.unique()) if numeric else list(values.unique())
    labels = {value: f"{value:g}" if numeric else str(value) for value in order}
    if first and first not in labels.values():
        known = list(labels.values())
        raise InputError(f"column {column!r} has no value {first!r}{suggestion(first, known)}")
    order.sort(key=lambda value: labels[value] != first)
    keys = [name for name in ("params", "tokens", "seed") if name in frame]
    return {
        labels[value]: frame[(value_N == value).to_numpy(bool)].sort_values(keys, kind="stable")
        for value in order
    }


def _alike(ours: "pd.DataFrame", theirs: "pd.DataFrame") -> bool:
    """Whether the fitted rows of two groups are runs of the same sizes, lengths and seeds."""
    a, b = fitted_rows(ours), fitted_rows(theirs)
    if len(a) != len(b) or not {"params", "tokens"} <= {*a}:
        return False
    if "seed" in a and list(a["seed"]) != list(b["seed"]):
        return False
    ratio = np.log(a["tokens"].to_numpy(np.float64) / b["tokens"].to_numpy(np.float64))
    return list(a["params"]) == list(b["params"]) and bool(
        (np.abs(ratio) <= math.log(SAME_LENGTH)).all()
    )


def _can_pair(approach: int, law: Any, options: Options) -> bool:
    """Whether resamples from one seed draw matched rows of two tables together."""
    if approach == 2:
        # A pooled residual is drawn by its place. A surface draws signs.
        return options.isoflop_curve != "surface"
    symmetric = options.objective is None or objective_named(options.objective).quantile == 0.5
    drawn = options.resampling in (None, "paired") and symmetric
    return approach == 3 and law != AUTO and (drawn or options.resampling == "rows")


def _repeats(rows: "pd.DataFrame") -> bool:
    return "run_id" in rows and bool(rows["run_id"].duplicated().any())


def _compared(fitted: Fit) -> dict[str, float]:
    return fitted.exponents or dict(fitted.params)


def _draws(fitted: Fit, name: str) -> np.ndarray | None:
    if fitted.draws_BxP is None:
        return None
    exponents = fitted.exponent_draws or {}
    return (
        exponents[name] if name in exponents else fitted.draws_BxP[:, [*fitted.params].index(name)]
    )


def _difference(base: Fit, other: Fit, name: str) -> Estimate:
    value = _compared(other)[name] - _compared(base)[name]
    ours, theirs = _draws(other, name), _draws(base, name)
    if ours is None or theirs is None:
        return Estimate(value, None)
    n = min(len(ours), len(theirs))
    return Estimate(value, interval(ours[:n] - theirs[:n], base.level))
