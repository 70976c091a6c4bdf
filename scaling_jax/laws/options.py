"""How a fit is made, whatever the approach."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Literal, get_args

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.conventions import Count
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.tables.select import Rows

Resampling = Literal["rows", "residuals", "runs"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)


@dataclass(frozen=True)
class Options:
    """Attributes as `laws.fit` takes them."""

    bootstrap: int
    level: float
    count: Count
    seed: int
    resampling: Resampling
    objective: str | Objective = "huber"
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bootstrap != 0 and self.bootstrap < 20:
            raise InputError(
                f"bootstrap {self.bootstrap} is too few resamples for an interval: "
                "use at least 20, or 0 for the point alone"
            )
        if not 0 < self.level < 1:
            raise InputError(f"level {self.level} must lie between 0 and 1, such as 0.9")
        if self.resampling not in RESAMPLINGS:
            raise InputError(
                f"unknown resampling {self.resampling!r}{suggestion(self.resampling, RESAMPLINGS)}"
            )

    def provenance(self, rows: Rows) -> Mapping[str, Any]:
        """What the fit can be traced to."""
        try:
            version = metadata.version("scaling_jax")
        except metadata.PackageNotFoundError:
            version = "not installed"
        return {"scaling_jax": version, "records": rows.fingerprint, "options": asdict(self)}
