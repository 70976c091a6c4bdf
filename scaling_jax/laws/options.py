"""How a fit is made, whatever the approach: declared once, for Python and the command line."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any, Literal, get_args

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.conventions import DRAWS, LEVEL, READ_OFFS, Count, ReadOff
from scaling_jax.laws.objectives import Objective, objective_named
from scaling_jax.laws.tables.select import Rows

Resampling = Literal["rows", "residuals", "runs", "paired"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)

# Option -> the one approach that it changes, how messages name it, and why the other approaches
# do not use it.
_APPROACH_OF = {
    "law": (3, "law", "fits no law"),
    "objective": (3, "objective", "has an objective of its own"),
    "fixed": (3, "held constant", "fits no law"),
    "prior": (3, "prior", "fits no law"),
    "within": (3, "within", "fits no law"),
    "weight_by_compute": (3, "weight by compute", "fits no law"),
    "resampling": (3, "resampling", "always resamples {resampled}"),
    "isoflop_curve": (2, "curve", "fits no curves of equal FLOPs"),
    "corrected": (2, "correction", "fits no curves of equal FLOPs"),
    # What the command line adds to a fit: a prediction at a point, and profiles.
    "at": (3, "a prediction at", "fits no loss"),
    "profile": (3, "profile", "fits no law"),
}
_RESAMPLED = {1: "runs", 2: "residuals"}


@dataclass(frozen=True)
class Options:
    """How a fit is made. What is None takes the default of the approach or of the law.

    Attributes:
        objective: what approach 3 minimizes: huber (delta 1e-3 on log loss, summed; the default),
            log-squares, squares (the default where the response may be negative), gaussian
            (maximum likelihood), or lower-envelope.
        fixed: constants of the law to hold rather than fit, such as E=1.69.
        prior: what is known of constants beside the rows, as centre and standard deviation, such
            as E=1.6:0.1.
        within: fit only rows whose loss lies at most this share above the frontier, such as 0.02.
        weight_by_compute: power of a row's weight in its compute, such as 0.5; 0 for none.
        isoflop_curve: what approach 2 puts through the runs of each budget: a parabola (the
            default), a parabola through the sizes near the best (window), an Akima spline; or
            one law through the runs of all budgets (surface).
        corrected: take out of approach 2 the bias that its curves have on the fitted law.
        resampling: what the bootstrap of approach 3 draws: residuals of the fit (the default),
            rows (wider on small designs), whole runs (the default where run_id repeats), or
            residuals that are paired with those of the same runs in other tables (paired).
            Approach 1 resamples runs, approach 2 residuals.
        bootstrap: number of refits for the intervals; 0 fits only the point estimate.
        level: share of the bootstrap that an interval holds.
        count: which parameters N counts; small models' exponents depend on it.
        seed: seed of the bootstrap.

    Raises:
        InputError: a name that is unknown, or a number out of its range.
    """

    objective: str | Objective | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)
    prior: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    within: float | None = None
    weight_by_compute: float | None = None
    isoflop_curve: ReadOff | None = None
    corrected: bool = False
    resampling: Resampling | None = None
    bootstrap: int = DRAWS
    level: float = LEVEL
    count: Count = "total"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("bootstrap", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise InputError(f"{name} {value!r} must be a whole number of at least 0")
        if self.bootstrap != 0 and self.bootstrap < 20:
            raise InputError(
                f"bootstrap {self.bootstrap} is too few resamples for an interval: "
                "use at least 20, or 0 for only the point estimate"
            )
        if self.within is not None and not 0 < self.within < math.inf:
            raise InputError(
                f"within {self.within} must be a positive share of the loss, such as 0.02"
            )
        if self.weight_by_compute is not None and not 0 <= self.weight_by_compute < math.inf:
            raise InputError(
                f"weight_by_compute {self.weight_by_compute} must be a power of at least 0, such "
                "as 0.5"
            )
        if not 0 < self.level < 1:
            raise InputError(f"level {self.level} must lie between 0 and 1, such as 0.9")
        for name, known in (("resampling", RESAMPLINGS), ("isoflop_curve", READ_OFFS)):
            if (value := getattr(self, name)) is not None and value not in known:
                what = name.removeprefix("isoflop_")
                raise InputError(f"unknown {what} {value!r}{suggestion(value, known)}")
        if self.objective is not None:
            objective_named(self.objective)

    @property
    def resampled(self) -> Resampling:
        """What the bootstrap of approach 3 draws."""
        return self.resampling or "residuals"

    def given(self) -> dict[str, Any]:
        """The options that are not left at their defaults, such as arguments of `laws.fit`."""
        defaults = Options()
        values = {each.name: getattr(self, each.name) for each in fields(Options)}
        return {name: v for name, v in values.items() if v != getattr(defaults, name)}

    def provenance(self, rows: Rows) -> Mapping[str, Any]:
        """What the fit can be traced to."""
        options = {**asdict(self), "resampling": self.resampled}
        return {"scaling_jax": package_version(), "records": rows.fingerprint, "options": options}


def package_version() -> str:
    """The installed version of this package."""
    try:
        return metadata.version("scaling_jax")
    except metadata.PackageNotFoundError:
        return "not installed"


def applicable(approach: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, of those given, that change the approach."""
    return {n: v for n, v in given.items() if _APPROACH_OF.get(n, (approach,))[0] == approach}


def require_applicable(approach: int, given: Mapping[str, Any]) -> None:
    """Refuse an option that would change nothing.

    Raises:
        InputError: the option is one of another approach.
    """
    for name, value in given.items():
        if name not in applicable(approach, given):
            other, label, reason = _APPROACH_OF[name]
            reason = reason.format(resampled=_RESAMPLED.get(approach))
            several = "s" * (name == "fixed" and len(value) > 1)
            raise InputError(
                f"{label}{several}{_text(value)} has no effect on approach {approach}, which "
                f"{reason}: leave it out, or use approach {other}"
            )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " " + ", ".join(f"{n}={v:g}" for n, v in value.items())
    return "" if value is True else f" {getattr(value, 'name', value)}"
