"""The data of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scaling_jax.laws.tables.layouts import loss_unit
from scaling_jax.report.experiments.table import OwnAnswer
from scaling_jax.report.under_way import UnderWay
from scaling_jax.study.status.study_forecasts import StudyForecast

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit


@dataclass(frozen=True)
class Verification:
    """A run beyond the fitted budgets, beside its prediction by the law."""

    run_id: str
    params: float
    tokens: float
    flops: float
    predicted: float
    interval: tuple[float, float]
    level: float
    measured: float
    measured_stderr: float | None
    error_percent: float
    inside_interval: bool


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        title: the name of the study or the table.
        records, curves: the tables of `study.collect` and `study.curves`; of a table, its rows.
        fits: the fit of each approach of Hoffmann et al. (1, 2, 3).
        target_flops: the budget whose optimum the report shows.
        verification: the run that tests a prediction, if the study has one.
        recipe: the study's recipe, one value per dotted name.
        commands: the commands that reproduce the page.
        provenance: device, data, code and package versions.
        seconds: wall-clock seconds by activity, summed over runs.
        refused: for each approach without a fit, the reason.
        under_way: progress of a study that has not ended.
        forecasts: the forecasts in the study's directory, with their scores.
        own: the answer to the question of a published experiment.
        refresh: seconds after which a browser reloads a page that is being rewritten.
    """

    title: str
    records: "pd.DataFrame"
    curves: "pd.DataFrame | None"
    fits: "Mapping[int, Fit]"
    target_flops: float
    verification: Verification | None
    recipe: Mapping[str, object]
    commands: Sequence[str]
    provenance: Mapping[str, str]
    seconds: Mapping[str, float]
    refused: Mapping[int, str] = field(default_factory=dict)
    under_way: UnderWay | None = None
    forecasts: Sequence[StudyForecast] = ()
    own: OwnAnswer | None = None
    refresh: float | None = None

    @property
    def main_fit(self) -> "Fit | None":
        """The fit that the headline quotes: that of the highest approach."""
        return self.fits[max(self.fits)] if self.fits else None

    @property
    def unit(self) -> str:
        """The unit of losses: that of the fit, else what the records say; empty where unknown."""
        return self.main_fit.unit if self.main_fit else loss_unit(self.records)

    @property
    def in_unit(self) -> str:
        """The unit in brackets, for the label of an axis."""
        return f" ({self.unit})" if self.unit else ""

    @property
    def parametric(self) -> "Fit | None":
        """The fit of L(N, D), the only fit that predicts a loss; None without it."""
        return self.fits.get(3)


def finished(records: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of `records` that finished and have a loss."""
    return records[(records["status"] == "finished") & records["loss"].notna()]


def grid(records: "pd.DataFrame") -> "pd.DataFrame":
    """The finished rows of `records` to which laws are fitted: those of the grid."""
    done = finished(records)
    return done[done["role"] == "grid"]


def params_of(records: "pd.DataFrame", fit: "Fit | None") -> "pd.Series":
    """The number of parameters of each row, counted as `fit` counts N."""
    from scaling_jax.laws.conventions import PARAMS_COLUMN

    column = "params" if fit is None else PARAMS_COLUMN[fit.count]  # type: ignore[index]
    return records[column] if column in records else records["params"]
