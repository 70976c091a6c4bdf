"""The three approaches of Hoffmann et al. 2022 on one table, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Allocation
from scaling_jax.laws.catalogue.find import law_or_default
from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.fitting import fit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.options import Options, applicable
from scaling_jax.laws.tables.read import Table, load_table

if TYPE_CHECKING:
    import pandas as pd

APPROACHES = (1, 2, 3)


@dataclass(frozen=True)
class Comparison:
    """The fits of several approaches to the same runs.

    Attributes:
        fits: approach -> fit, for every approach that the data allow.
        refused: approach -> why the data do not allow that approach.
    """

    fits: Mapping[int, Fit]
    refused: Mapping[int, str]

    def budgets(self) -> tuple[float, float]:
        """The largest FLOPs fitted by any approach, and `BEYOND` times that."""
        largest = max(fit.flops_range[1] for fit in self.fits.values())
        return largest, BEYOND * largest

    def allocations(self, budgets: Sequence[float] | None = None) -> dict[int, Allocation]:
        """Approach -> allocation at `budgets` in FLOPs, by default the two of `budgets()`.

        Raises:
            InputError: a budget that is not positive and finite.
        """
        if not self.fits:
            return {}
        budgets = self.budgets() if budgets is None else budgets
        return {approach: fit.allocation(budgets) for approach, fit in self.fits.items()}

    def disagreements(self, flops: float | None = None) -> tuple[Note, ...]:
        """A warning for every two approaches whose intervals of N_opt do not overlap.

        Args:
            flops: where they are compared, by default at the largest fitted budget.
        """
        if not self.fits:
            return ()
        return disagreements(self.fits, self.budgets()[0] if flops is None else flops)

    def refuse(self) -> None:
        """Refuse runs to which no approach can be fitted.

        Raises:
            InputError: there is no fit; the message has the reason of each approach.
        """
        if not self.fits:
            reasons = "; ".join(f"approach {k}: {why}" for k, why in self.refused.items())
            raise InputError(f"no approach can be fitted to these runs: {reasons}")

    def describe(self) -> str:
        """The approaches side by side: exponents, optima and notes; also `str(comparison)`."""
        from scaling_jax.formatting import plain_spaces
        from scaling_jax.laws.comparison_text import comparison_text

        return plain_spaces("\n".join(map(str, comparison_text(self))))

    def __str__(self) -> str:
        return self.describe()

    def _repr_html_(self) -> str:
        from scaling_jax.formatting import preformatted

        return preformatted(self.describe())

    def table(self, budgets: Sequence[float] | None = None) -> "pd.DataFrame":
        """The tables of all allocations, concatenated, with the columns `approach` and `method`.

        Raises:
            InputError: a budget that is not positive and finite.
        """
        import pandas as pd

        parts = [
            each.table().assign(approach=approach, method=each.method)
            for approach, each in self.allocations(budgets).items()
        ]
        if not parts:
            return pd.DataFrame(columns=["approach", "method"])
        table = pd.concat(parts, ignore_index=True)
        return table[["approach", "method", *table.columns[:-2]]]


def disagreements(fits: Mapping[int, Fit], flops: float) -> tuple[Note, ...]:
    """A warning for every two fits whose intervals of N_opt at `flops` do not overlap."""
    notes = []
    optima = {approach: fit.optimal(flops) for approach, fit in sorted(fits.items())}
    for (i, one), (j, other) in combinations(optima.items(), 2):
        a, b = one.params_interval, other.params_interval
        if a is None or b is None or not (a[1] < b[0] or b[1] < a[0]):
            continue
        shown = [
            f"{formatting.count(each.params)} ({formatting.interval(each.params_interval)}) by {k}"
            for k, each in ((i, one), (j, other))
        ]
        text = (
            f"Approaches {i} and {j} disagree beyond their intervals on N_opt at "
            f"{formatting.flops(flops)} FLOPs: {' and '.join(shown)}."
        )
        notes.append(Note(NoteCode.APPROACHES_DISAGREE, formatting.plain_spaces(text)))
    return tuple(notes)


def compare(table: Table, **options: Any) -> Comparison:
    """Fit all three approaches of Hoffmann et al. 2022 that the runs allow.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax import laws
    >>> n, c = (grid.ravel() for grid in np.meshgrid(np.geomspace(2e7, 2e9, 9), [1e18, 1e19, 1e20]))
    >>> d = c / 6 / n
    >>> table = pd.DataFrame({"params": n, "tokens": d, "budget": c})
    >>> table["loss"] = 1.7 + 400 / n**0.34 + 410 / d**0.28
    >>> compared = laws.compare(table, bootstrap=0)
    >>> sorted(compared.fits), sorted(compared.refused)
    ([2, 3], [1])

    Args:
        table: as `fit` takes it.
        **options: options of `fit`, except `approach`. Each approach takes the options that
            change it; `training_curves` are what approach 1 reads.

    Raises:
        InputError: a table that cannot be read, or an option that no approach could be fitted
            with.
    """
    law, curves = options.pop("law", None), options.pop("training_curves", None)
    columns, unit = options.pop("columns", None), options.pop("unit", None)
    given = Options(**options).given()
    chosen = law_or_default(law)
    frame = load_table(table, chosen, columns)
    fits: dict[int, Fit] = {}
    refused: dict[int, str] = {}
    for approach in APPROACHES:
        try:
            used = applicable(approach, {**given, "law": law})
            found = fit(frame, approach=approach, training_curves=curves, unit=unit, **used)
        except InputError as error:
            refused[approach] = str(error)
            continue
        if found.exponents:
            fits[approach] = found
        else:
            no_frontier = f"the law {found.law!r} has no compute-optimal frontier"
            refused[approach] = found.without_optimum or no_frontier
    if not fits and len(set(refused.values())) == 1:
        raise InputError(refused[APPROACHES[0]])
    return Comparison(fits, refused)
