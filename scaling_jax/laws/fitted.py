"""Fits: what was fitted, with its uncertainty, what it predicts and what it recommends."""

import dataclasses
import importlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import (
    Allocation,
    Estimate,
    Frontier,
    Interval,
    Optimum,
    Prediction,
    all_alike,
    interval,
)
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.conventions import SIX_N_D, Compute
from scaling_jax.laws.form_error import FormError, Member, beyond_draws, combined, scaled, widened
from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Minimum
from scaling_jax.laws.notes import Note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_jax.laws.tables.read import Table

_SCATTERS_PER_DRAW = 16
# What lowers the loss in every sound study; rises within rounding are none.
FALLING = ("params", "tokens", "flops")
_ROUNDING = 1e-9
# Rows that scatter less about a law have no noise, and all their resamples agree.
EXACT = 1e-9


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
        _require_positive("flops", flops)
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


@dataclass(frozen=True)
class LawFit(Fit):
    """A fitted law of any columns.

    >>> import numpy as np
    >>> from scaling_jax import laws
    >>> table = {"flops": np.geomspace(1e18, 1e21, 8)}
    >>> table["loss"] = 20 / table["flops"] ** 0.05
    >>> fit = laws.fit(table, law="kaplan-flops", bootstrap=0)
    >>> round(fit.params["alpha"], 4), round(fit.predict(flops=1e22).loss, 4)
    (0.05, 1.5887)

    Attributes:
        definition: the law.
        ranges: variable -> least and most value fitted; empty for fits stored before there were
            any.
        is_logged: whether `noise_N` is of log responses rather than in the response's unit.
        form_error: how fast errors grow beyond the data, which intervals of predictions and optima
            hold; None where that is not known, such as for a law that reads no size or data.
        members: what the fit averages, the heaviest first; empty for a single fit.
    """

    _: KW_ONLY
    definition: Law
    approach: int = 3
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    is_logged: bool = True
    form_error: FormError | None = None
    members: tuple[Member, ...] = ()

    @property
    def law(self) -> str:
        """Name of the law."""
        return self.definition.name

    @property
    def method(self) -> str:
        """How the frontier was found, in words."""
        return f"parametric law {self.law}"

    @property
    def intervals(self) -> dict[str, Interval] | None:
        """Interval of every constant but those that no resample moves; None without a bootstrap.

        Constants that were held have the interval from their value to itself.
        """
        found = super().intervals
        if found is None or self.draws_BxP is None or self.objective.get("noise", 0.0) < EXACT:
            return found
        held = {*self.definition.held, *(self.provenance.get("options") or {}).get("fixed", {})}
        still = {n for n, d in zip(self.params, self.draws_BxP.T, strict=True) if all_alike(d)}
        return {name: ends for name, ends in found.items() if name in held or name not in still}

    @property
    def rising(self) -> str:
        """What the fitted loss rises or does not change with; empty where it falls as it should."""
        law = self.definition
        if law.response != "loss":
            return ""
        change = {v: self._change_with(v) for v in FALLING}
        if law.frontier is None:
            rises = [v for v in FALLING if change[v] > 0]
            return f"The fitted loss rises with {' and '.join(rises)}" if rises else ""
        exponents = dict(zip(("params", "tokens"), law.frontier[:2], strict=True))
        # What a vanished term has for an exponent says nothing.
        still = [v for v in exponents if change[v] == 0]
        rises = [
            f"{v} ({e} {self.params[e]:.3g})"
            for v, e in exponents.items()
            if self.params[e] <= 0 and v not in still
        ]
        if rises:
            return f"The fitted loss rises with {' and '.join(rises)}"
        return f"The fitted loss does not change with {' and '.join(still)}" if still else ""

    @property
    def without_optimum(self) -> str:
        """Why no run is compute-optimal; empty where one is."""
        undetermined = self.compute.undetermined if self.definition.frontier else ""
        return super().without_optimum or undetermined

    def _change_with(self, variable: str) -> float:
        """The loss at the variable's largest value over that at its least, less 1.

        Zero where that is rounding; NaN where the fit does not know the variable's range.
        """
        middle = {
            name: math.sqrt(low * high) if low > 0 else (low + high) / 2
            for name, (low, high) in self.ranges.items()
            if name in self.definition.variables
        }
        if variable not in middle:
            return math.nan
        ends = [{**middle, variable: end} for end in self.ranges[variable]]
        low, high = (float(self.definition.value(self._constants_P, at)) for at in ends)
        change = high / low - 1
        return change if abs(change) > _ROUNDING else 0.0

    def predict(self, **variables: float) -> Prediction:
        """The response at the law's variables, such as `predict(params=70e9, tokens=1.4e12)`.

        Raises:
            InputError: a variable missing, unknown, not finite, or not positive where it must be.
        """
        self._require_variables(variables)
        law = self.definition
        drawn_B = None if self.draws_BxP is None else law.value(self.draws_BxP, variables)
        outside = tuple(
            name
            for name, (least, most) in self.ranges.items()
            if name in variables and not least <= variables[name] <= most
        )
        value = float(law.value(self._constants_P, variables))
        extrapolation = _flops_of(variables, self.compute) / self.flops_range[1]
        if drawn_B is None:
            return Prediction(value, None, None, extrapolation, outside)
        ratio, between = self._ratio(variables, extrapolation), self._between(variables)
        wider_B = self._with_form_error(drawn_B, value, ratio, between)
        return Prediction(
            value=value,
            law_interval=self._interval(wider_B),
            interval=self._interval(self._runs(wider_B)),
            extrapolation=extrapolation,
            outside=outside,
            resampling_interval=self._interval(self._runs(drawn_B)),
            parts=self._parts(drawn_B, ratio, between),
        )

    def drawn(self, **variables: float) -> np.ndarray | None:
        """Draws of the response, with the error of the law's form; None without a bootstrap.

        Their percentiles are the `law_interval` of `predict`.
        """
        if self.draws_BxP is None:
            return None
        value = float(self.definition.value(self._constants_P, variables))
        ratio = self._ratio(variables, _flops_of(variables, self.compute) / self.flops_range[1])
        draws_B = self.definition.value(self.draws_BxP, variables)
        return self._with_form_error(draws_B, value, ratio, self._between(variables))

    def _between(self, variables: Mapping[str, float]) -> float:
        """Standard deviation of the log response over the members of an average."""
        if not self.members:
            return 0.0
        values_J = self.definition.value(np.array([m.constants for m in self.members]), variables)
        return self._scatter(np.log(values_J))

    def _scatter(self, log_J: np.ndarray) -> float:
        weight_J = np.array([member.weight for member in self.members])
        known_J = np.isfinite(log_J) & (weight_J > 0)
        weight_J, log_J = weight_J[known_J] / weight_J[known_J].sum(), log_J[known_J]
        return float(np.sqrt(weight_J @ (log_J - weight_J @ log_J) ** 2))

    def _ratio(self, variables: Mapping[str, float], extrapolation: float) -> float:
        """How far beyond the data a run is: in compute, in size, or in data, whichever is most."""
        beyond = [
            variables[n] / self.ranges[n][1] for n in FALLING if n in self.ranges.keys() & variables
        ]
        known = [x for x in (extrapolation, *beyond) if math.isfinite(x)]
        return max(known, default=1.0)

    def _with_form_error(
        self, draws_B: np.ndarray, value: float, ratio: float, between: float
    ) -> np.ndarray:
        """Draws of the response with the error of the form in them."""
        if self.form_error is None:
            return draws_B
        deviation = self.form_error.loss_deviation(ratio)
        if self.members:
            return scaled(draws_B, value, combined(deviation, between))
        return widened(draws_B, beyond_draws(deviation, draws_B))

    def _parts(self, draws_B: np.ndarray, ratio: float, between: float) -> dict[str, float]:
        if not self.is_logged or not (draws_B > 0).all():
            return {}
        low, high = np.quantile(np.log(draws_B), [0.16, 0.84])
        noise = math.sqrt(max(((high - low) / 2) ** 2 - between**2, 0.0))
        deviation = noise if self.form_error is None else self.form_error.loss_deviation(ratio)
        if self.members:
            noise = min(noise, deviation)
        noise_N = np.zeros(1) if self.noise_N is None else self.noise_N
        return {
            "runs": float(np.sqrt(np.mean(noise_N**2))),
            "noise": noise,
            "form": combined(0.0, between),
            "distance": math.sqrt(max(deviation**2 - noise**2, 0.0)),
        }

    def _beyond(self, drawn: Frontier, flops: float) -> Frontier:
        if self.form_error is None:
            return drawn
        point, ratio = self._frontier(self._constants_P, flops), flops / self.flops_range[1]
        deviation, between = self.form_error.params_deviation(ratio), 0.0
        loss = drawn.loss
        if self.members:
            each = self._frontier(np.array([m.constants for m in self.members]), flops)
            with np.errstate(all="ignore"):
                deviation = combined(deviation, self._scatter(np.log(each.params)))
            between = 0.0 if each.loss is None else self._scatter(np.log(each.loss))
            params = scaled(drawn.params, float(point.params), deviation)
        else:
            params = widened(drawn.params, beyond_draws(deviation, drawn.params))
        if loss is not None and point.loss is not None:
            loss = self._with_form_error(loss, float(point.loss), ratio, between)
        # At fixed compute, more parameters mean fewer tokens.
        with np.errstate(all="ignore"):
            tokens = flops / self.compute.of(params, np.ones_like(params))
        return Frontier(params, tokens, loss)

    def _runs(self, law_B: np.ndarray) -> np.ndarray | None:
        return None if self.noise_N is None else self.scattered(law_B).ravel()

    def scattered(self, law_B: np.ndarray) -> np.ndarray:
        """Draws `BxS` of the law with several runs' scatter each, the same at every call.

        Their percentiles are an interval of measurements rather than of the law.
        """
        assert self.noise_N is not None
        rng = np.random.default_rng(0)
        noise_BxS: np.ndarray = rng.choice(self.noise_N, size=(len(law_B), _SCATTERS_PER_DRAW))
        runs_BxS: np.ndarray = law_B[:, None] + noise_BxS
        if self.is_logged:
            runs_BxS = law_B[:, None] * np.exp(noise_BxS)
        return runs_BxS

    def _frontier(self, constants_P: np.ndarray, flops: float) -> Frontier:
        return allocation.form_frontier(self.definition, constants_P, flops, self.compute)

    def _exponents(self, constants_P: np.ndarray) -> dict[str, np.ndarray]:
        return allocation.form_exponents(
            self.definition, constants_P, self.compute, self.flops_range
        )

    def _require_variables(self, given: Mapping[str, float]) -> None:
        law = self.definition
        for name in given:
            # A law of size or data alone is still asked about runs, which have both.
            if name not in law.variables and name not in self.ranges:
                raise InputError(
                    f"the law {law.name!r} has no variable {name!r}"
                    f"{suggestion(name, law.variables)}"
                )
        for name in law.variables:
            if name not in given:
                raise InputError(f"the law {law.name!r} needs {name!r} to predict")
        for name, value in given.items():
            if name not in law.signed:
                _require_positive(name, value)
            elif not math.isfinite(value):
                raise InputError(f"{name} {value} must be finite")


@dataclass(frozen=True)
class FrontierFit(Fit):
    """A pair of power laws, `N_opt = N_ref (C / C_ref)^a` and D_opt alike (approaches 1 and 2).

    `params` has N_ref and D_ref at `reference_flops`, a and b, and, with minima enough, E, K_ref
    and gamma of `L_opt = E + K_ref (C / C_ref)^-gamma`.

    Attributes:
        minima: the IsoFLOP minima that approach 2 fitted.
        frontier_points, sizes: the points of the envelope that approach 1 fitted, and its sizes.
    """

    _: KW_ONLY
    minima: tuple[Minimum, ...] = ()
    frontier_points: FrontierPoints | None = None
    sizes: tuple[EnvelopeSize, ...] = ()

    @property
    def law(self) -> str:
        """`power-laws`."""
        return "power-laws"

    @property
    def method(self) -> str:
        """How the frontier was found, in words."""
        if "curve" not in self.objective:
            return "envelope of training curves"
        done = ", corrected" if self.objective["corrected"] else ""
        return f"IsoFLOP minima by {self.objective['curve']}{done}"

    @property
    def rising(self) -> str:
        """What the fitted loss rises with, as a clause; empty where it falls as it should."""
        gamma = self.params.get("gamma", 1.0)
        if gamma <= 0:
            return f"The fitted loss rises with compute (gamma {gamma:.3g})"
        ordered = sorted(self.minima, key=lambda minimum: minimum.budget)
        if ordered and ordered[-1].loss > ordered[0].loss:
            return (
                f"The lowest loss rises with compute ({ordered[0].loss:.4g} at the least budget, "
                f"{ordered[-1].loss:.4g} at the largest)"
            )
        return ""

    def predict(self, **variables: float) -> Prediction:
        """Refused: the optimum was fitted, not the loss.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"approach {self.approach} fits the optimum, not the loss: "
            "fit with approach 3 to predict losses"
        )

    def _frontier(self, constants_P: np.ndarray, flops: float) -> Frontier:
        return allocation.power_law_frontier(constants_P, self.reference_flops, flops)

    def _exponents(self, constants_P: np.ndarray) -> dict[str, np.ndarray]:
        names = list(self.params)
        return {name: constants_P[..., names.index(name)] for name in ("a", "b")}


def _flops_of(variables: Mapping[str, float], compute: Compute) -> float:
    """FLOPs of a run, as far as its variables tell them."""
    if "flops" in variables:
        return variables["flops"]
    if {"params", "tokens"}.issubset(variables):
        return compute.of(variables["params"], variables["tokens"])
    return math.nan


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name} {value} must be positive and finite")
