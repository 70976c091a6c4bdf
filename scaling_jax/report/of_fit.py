"""Single figures of the page, drawn from one fit and its runs."""

from typing import TYPE_CHECKING

import pandas as pd

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws import LawFit
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.tables.read import load_table
from scaling_jax.report import style
from scaling_jax.report.content import ReportData
from scaling_jax.report.frontier import frontier_panels
from scaling_jax.report.isoflop import isoflop_panel
from scaling_jax.report.of_table import records_of
from scaling_jax.report.predicted import fit_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_jax.laws import Fit
    from scaling_jax.laws.tables.read import Table

_RESIDUALS = {f"residuals-{x}": 3 for x in ("params", "tokens", "flops")}
# Figure -> the approach whose fit it shows, with single runs; None for one that needs no runs.
_NEEDED: dict[str, int | None] = {
    "frontier-params": None,
    "frontier-tokens": None,
    "frontier-params-papers": None,
    "frontier-tokens-papers": None,
    "isoflop": 2,
    "predicted": 3,
    **_RESIDUALS,
}
_FINISHED = {"status": "finished", "role": "grid"}


def figure_of(fit: "Fit", name: str, table: "Table | None") -> "Figure":
    """The figure `name` of a fit, as `Fit.plot` describes it.

    Raises:
        InputError: an unknown name, or a figure that needs runs, another approach or an optimum.
    """
    if name not in _NEEDED:
        raise InputError(f"unknown figure {name!r}{suggestion(name, list(_NEEDED))}")
    approach = _NEEDED[name]
    if approach is None and not fit.exponents:
        raise InputError(f"{name} shows an optimum, which this fit lacks: {fit.without_optimum}")
    if approach is not None and table is None:
        raise InputError(f"the figure {name} shows single runs: give them as table=")
    if approach not in (None, fit.approach):
        raise InputError(f"the figure {name} is of approach {approach}, not {fit.approach}")
    data = _data(fit, table)
    with style.figure_style():
        isoflop = isoflop_panel(data) if name == "isoflop" else None
        own = frontier_panels(data) if name.startswith("frontier") else ()
        frontier = [*own, *(panel.on_demand for panel in own if panel.on_demand)]
        single = fit_panels(data) if approach == 3 else ()
        panels = [*frontier, *single, *([isoflop] if isoflop else [])]
    found = next((panel.figure for panel in panels if panel.name == name), None)
    if found is None:
        raise InputError(f"these runs do not have what the figure {name} shows")
    return found


def _runs(fit: "Fit", table: "Table | None") -> "pd.DataFrame":
    """The rows of the table as the page has them; without a table the range of C alone."""
    if table is not None:
        law = fit.definition if isinstance(fit, LawFit) else CHINCHILLA
        return records_of(load_table(table, law), law)
    return pd.DataFrame({"flops": fit.flops_range, "loss": 1.0, **_FINISHED})


def _data(fit: "Fit", table: "Table | None") -> ReportData:
    return ReportData(
        title="",
        records=_runs(fit, table),
        curves=None,
        fits={fit.approach: fit},
        target_flops=BEYOND * fit.flops_range[1],
        verification=None,
        recipe={},
        commands=(),
        provenance={},
        seconds={},
    )
