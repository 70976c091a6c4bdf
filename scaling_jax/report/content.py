"""What a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scaling_jax.report.under_way import UnderWay

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit

PARAMS_COLUMNS = {
    "total": "params",
    "non_embedding": "params_non_embedding",
    "active": "params_active",
}


@dataclass(frozen=True)
class Verification:
    """A run larger than the fitted ones, predicted before it was trained; losses in nats/token."""

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
    """Everything a report shows.

    `records` and `curves` are the tables of `study.collect` and `study.curves`; `fits` maps the
    approach of Hoffmann et al. (1, 2, 3) to its fit; `target_flops` is the budget asked about;
    `seconds` says where the time went; `refused` says of an approach why it has no fit;
    `under_way` where the study stands if it is not over; `refresh` after how many seconds a page
    that is written again and again is to be looked at anew.
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
    refresh: float | None = None

    @property
    def main_fit(self) -> "Fit | None":
        """The fit the headline quotes: the parametric one where it is there, else the next."""
        return self.fits[max(self.fits)] if self.fits else None

    @property
    def parametric(self) -> "Fit | None":
        """The fit of L(N, D), the only one that predicts a loss."""
        return self.fits.get(3)


def finished(records: "pd.DataFrame") -> "pd.DataFrame":
    """The rows with a usable loss."""
    return records[(records["status"] == "finished") & records["loss"].notna()]


def grid(records: "pd.DataFrame") -> "pd.DataFrame":
    """The finished runs the laws were fitted to."""
    done = finished(records)
    return done[done["role"] != "verification"]


def params_of(records: "pd.DataFrame", fit: "Fit | None") -> "pd.Series":
    """The parameter count a fit speaks of, one number per row."""
    column = PARAMS_COLUMNS.get(getattr(fit, "count", "total"), "params")
    return records[column] if column in records else records["params"]
