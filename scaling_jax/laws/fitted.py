"""What every fit gives: constants with intervals, predictions, and the optimum of a budget."""

import importlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import (
    Allocation,
    Estimate,
    Frontier,
    Interval,
    Optimum,
    Prediction,
    interval,
)
from scaling_jax.laws.conventions import SIX_N_D, Compute
from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Minimum
from scaling_jax.laws.notes import Note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_jax.laws.tables.read import Table


@dataclass(frozen=True)
class Fit(ABC):
    """What every approach gives: constants with intervals, the optimum of a budget, notes.

    `LawFit` is a fitted law (approach 3), `FrontierFit` a pair of power laws (1 and 2).

    Attributes:
        approach: 1, 2 or 3 of Hoffmann et al. 2022.
        params: name -> value of every constant.
        level: of every interval.
        count: which parameters N counts.
        compute: what C is; every budget and optimum is in it.
        objective: name, delta, reduction and value of what was minimized.
        n_points: rows (approach 3), budgets (2) or frontier points (1) fitted.
        n_dropped: reason -> rows or budgets left out.
        diagnostics: sentences about what the data can and cannot say, each with a code.
        flops_range: least and most FLOPs fitted; NaN where the rows have none.
        reference_flops: the largest FLOPs fitted, or where power laws have the value N_ref.
        provenance: package version, hash of the records, options, and the recipe of the runs: the
            hyperparameters that one recipe has one value of, as far as the table has them.
        draws_BxP: bootstrap constants, in the order of `params`; None without a bootstrap.
        noise_N: scatter of single runs about the law; None where none is known.
        unit: of the loss, such as `nats per token`; empty where it is not known.
    """

    _: KW_ONLY
    approach: int
    params: Mapping[str, float]
    level: float
    count: str
    objective: Mapping[str, Any]
    n_points: int
    n_dropped: Mapping[str, int]
    diagnostics: tuple[Note, ...]
    flops_range: tuple[float, float]
    reference_flops: float
    provenance: Mapping[str, Any]
    draws_BxP: np.ndarray | None = None
    noise_N: np.ndarray | None = None
    compute: Compute = SIX_N_D
    unit: str = ""

    @property
    @abstractmethod
    def law(self) -> str:
        """Name of the law; `power-laws` for approaches 1 and 2."""

    @property
    @abstractmethod
    def method(self) -> str:
        """How the frontier was found, in words."""

    @abstractmethod
    def predict(self, **variables: float) -> Prediction:
        """The response of a run, such as `predict(params=70e9, tokens=1.4e12)`.

        Raises:
            InputError: a variable missing, unknown, or not positive and finite; approach 1 or 2,
                which fit no loss.
        """

    @abstractmethod
    def _frontier(self, constants_P: np.ndarray, flops: float) -> Frontier: ...

    def _beyond(self, drawn: Frontier, flops: float) -> Frontier:
        """The draws' frontiers with the error of the form added."""
        return drawn

    @abstractmethod
    def _exponents(self, constants_P: np.ndarray) -> dict[str, np.ndarray]: ...

    @property
    @abstractmethod
    def rising(self) -> str:
        """What the fitted loss rises or does not change with; empty where it falls as it should."""

    @property
    def without_optimum(self) -> str:
        """Why no run is compute-optimal; empty where one is."""
        if not self.rising:
            return ""
        return (
            f"{self.rising}, so no run is compute-optimal: check the columns for their units "
            "and for runs that diverged, or add runs that span more of it"
        )

    @property
    def minima(self) -> tuple[Minimum, ...]:
        """The IsoFLOP minima that approach 2 fitted; empty for the other approaches."""
        return ()

    @property
    def frontier_points(self) -> FrontierPoints | None:
        """The points of the envelope that approach 1 fitted; None for the other approaches."""
        return None

    @property
    def sizes(self) -> tuple[EnvelopeSize, ...]:
        """The sizes along the envelope of approach 1; empty for the other approaches."""
        return ()

    @property
    def exponents(self) -> dict[str, float]:
        """Exponents a of N_opt and b of D_opt in C; empty where there is no optimum."""
        if self.without_optimum:
            return {}
        return {name: float(value) for name, value in self._exponents(self._constants_P).items()}

    @property
    def intervals(self) -> dict[str, Interval] | None:
        """Interval of every constant, or None without a bootstrap."""
        if self.draws_BxP is None:
            return None
        columns = zip(self.params, self.draws_BxP.T, strict=True)
        return {name: interval(draws, self.level) for name, draws in columns}

    @property
    def exponent_intervals(self) -> dict[str, Interval] | None:
        """Intervals of the exponents, or None without a bootstrap."""
        drawn = self.exponent_draws
        if drawn is None:
            return None
        return {name: interval(draws_B, self.level) for name, draws_B in drawn.items()}

    @property
    def exponent_draws(self) -> dict[str, np.ndarray] | None:
        """The exponents of every resample, or None without a bootstrap."""
        if self.draws_BxP is None:
            return None
        return {} if self.without_optimum else self._exponents(self.draws_BxP)

    def allocation(self, budgets: Sequence[float]) -> Allocation:
        """Exponents, and N_opt, D_opt and L_opt at `budgets` (FLOPs), as every approach has them.

        Raises:
            InputError: a budget that is not positive and finite, or a law without a frontier.
        """
        optima = tuple(self.optimal(flops) for flops in budgets)
        intervals = self.exponent_intervals or {}
        return Allocation(
            approach=self.approach,
            method=self.method,
            count=self.count,
            level=self.level,
            exponents={n: Estimate(v, intervals.get(n)) for n, v in self.exponents.items()},
            optima=optima,
        )

    def optimal(self, flops: float) -> Optimum:
        """The compute-optimal run of a budget of `flops`.

        Raises:
            InputError: a budget that is not positive and finite, a law without a frontier, a fit
                whose loss rises with what should lower it, or a C that params and tokens do not
                determine.
        """
        require_positive("flops", flops)
        if self.without_optimum:
            raise InputError(self.without_optimum)
        point = self._frontier(self._constants_P, flops)
        drawn = None
        if self.draws_BxP is not None:
            drawn = self._beyond(self._frontier(self.draws_BxP, flops), flops)
        return Optimum(
            flops=float(flops),
            params=float(point.params),
            tokens=float(point.tokens),
            loss=None if point.loss is None else float(point.loss),
            params_interval=self._interval(None if drawn is None else drawn.params),
            tokens_interval=self._interval(None if drawn is None else drawn.tokens),
            loss_interval=self._interval(None if drawn is None else drawn.loss),
            extrapolation=flops / self.flops_range[1],
        )

    def describe(self) -> str:
        """The fit in words: constants, optima with intervals, and notes; also `str(fit)`."""
        from scaling_jax.laws.fit_text import describe_fit

        return describe_fit(self)

    def __str__(self) -> str:
        return self.describe()

    def _repr_html_(self) -> str:
        from scaling_jax.formatting import preformatted

        return preformatted(self.describe())

    def plot(self, name: str = "frontier-params", *, table: "Table | None" = None) -> "Figure":
        """One of the figures of the report's page, as a Matplotlib figure.

        Args:
            name: `frontier-params` or `frontier-tokens`, the optimum against compute; with the
                runs in `table` also `isoflop` (approach 2), or `predicted`, `residuals-params`,
                `residuals-tokens` and `residuals-flops` (approach 3).
            table: the fitted runs, as `fit` takes them.

        Raises:
            InputError: an unknown name, or a figure that needs runs, another approach or an
                optimum.
        """
        # A dynamic import, since the report builds on laws.
        of_fit = importlib.import_module("scaling_jax.report.of_fit")
        return of_fit.figure_of(self, name, table)  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The fit as JSON, which `Fit.from_json` reads."""
        from scaling_jax.laws.stored import to_json

        return to_json(self)

    @staticmethod
    def from_json(text: str) -> "Fit":
        """Read what `to_json` wrote.

        Raises:
            InputError: the text is no fit, or one of another format; the fit's law is a user's
                function whose file is gone or has changed.
        """
        from scaling_jax.laws.stored import from_json

        return from_json(text)

    @staticmethod
    def read(path: "os.PathLike[str] | str") -> "Fit":
        """Read a file that holds what `to_json` wrote.

        Raises:
            InputError: a file that cannot be read, or as `from_json`, with the path.
        """
        from scaling_jax.laws.stored import read_fit

        return read_fit(path)

    @property
    def _constants_P(self) -> np.ndarray:
        return np.array(list(self.params.values()))

    def _interval(self, draws_B: np.ndarray | None) -> Interval | None:
        return None if draws_B is None else interval(draws_B, self.level)


def require_positive(name: str, value: float) -> None:
    """Raise InputError unless a number that a question gives is positive and finite."""
    if not 0 < value < math.inf:
        raise InputError(f"{name} {value} must be positive and finite")
