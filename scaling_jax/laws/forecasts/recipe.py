"""Whether a run was trained, or is planned, by the recipe of the fitted runs."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling_jax.laws.tables.check import is_blank

if TYPE_CHECKING:
    import pandas as pd


def differing(recipe: Mapping[str, Any], frame: "pd.DataFrame", row: int) -> list[str]:
    """What a row of a table differs from the recipe in, such as `optimizer muon, fitted adamw`.

    Columns that the table lacks, and blank cells, agree with every recipe.
    """
    found = []
    for name, fitted in recipe.items():
        if name not in frame:
            continue
        cell = frame[name].iloc[[row]]
        if not is_blank(cell)[0] and not _equal(cell.iloc[0], fitted):
            found.append(f"{name} {cell.iloc[0]}, fitted {fitted}")
    return found


def _equal(one: object, other: object) -> bool:
    """Whether two settings are the same; a number that a file holds as text is that number."""
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-9)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(one).strip() == str(other).strip()
