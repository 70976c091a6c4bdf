"""Profile likelihood of everything that a fit by a law is read for."""

from collections.abc import Mapping

from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.read import Table
from scaling_jax.laws.uncertainty.profile_table import Profiles, profiles


def fit_profiles(
    table: Table, fit: LawFit, options: Options, columns: Mapping[str, str] | None = None
) -> Profiles:
    """Profiles of a fitted law, and of its optimum at the largest budget and beyond.

    Args:
        table: the runs that were fitted.
        fit: the fit to the runs.
        options: how the fit was made.
        columns: our name -> the table's.

    Raises:
        InputError: as `profiles`.
    """
    largest = fit.flops_range[1]
    return profiles(
        table,
        law=fit.definition,
        budgets=(largest, BEYOND * largest),
        fixed=options.fixed,
        level=options.level,
        count=options.count,
        objective=options.objective,
        columns=columns,
    )
