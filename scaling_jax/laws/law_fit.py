"""A fitted law: approach 3 of Hoffmann et al. 2022, and every other law of columns."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import Frontier, Interval, Prediction, all_alike
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.error_surface import ErrorSurface
from scaling_jax.laws.fitted import Fit, require_positive
from scaling_jax.laws.form_error import FormError
from scaling_jax.laws.members import Member, about, constants_of, scatter_between
from scaling_jax.laws.simulated_error import loss_deviation, params_deviation
from scaling_jax.laws.uncertainty.widening import (
    Beyond,
    combined,
    evened,
    parts_of,
    parts_within,
    towards_hull,
    wider,
)

_SCATTERS_PER_DRAW = 16
# What lowers the loss in every sound study; rises within rounding are none.
FALLING = ("params", "tokens", "flops")
_ROUNDING = 1e-9
# Rows that scatter less about a law have no noise, and all their resamples agree.
EXACT = 1e-9


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
        error_surface: how far predicted losses may be off, over sizes and horizons; None where
            `form_error` says so.
        members: what the fit averages, the heaviest first; empty for a single fit.
    """

    _: KW_ONLY
    definition: Law
    approach: int = 3
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    is_logged: bool = True
    form_error: FormError | None = None
    error_surface: ErrorSurface | None = None
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

        Constants that were held have the interval from their value to itself. Those of an average
        reach to its own constants, which may lie beside those of its members.
        """
        found = super().intervals
        if found is not None and self.members:
            found = {
                n: (min(a, self.params[n]), max(b, self.params[n])) for n, (a, b) in found.items()
            }
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
        outside = tuple(
            name
            for name, (least, most) in self.ranges.items()
            if name in variables and not least <= variables[name] <= most
        )
        value = float(law.value(self._constants_P, variables))
        extrapolation = self._extrapolation(variables)
        drawn_B = self._resampled(variables, value)
        if drawn_B is None:
            return Prediction(value, None, None, extrapolation, outside)
        if self.error_surface is not None:
            of_noise = self.error_surface.noise(variables["params"], variables["tokens"])
            drawn_B = evened(drawn_B, value, of_noise)
        beyond = self._known_beyond(variables)
        wider_B = self._with_form_error(drawn_B, value, beyond)
        resampled = self._interval(self._runs(drawn_B))
        return Prediction(
            value=value,
            law_interval=self._interval(wider_B),
            interval=towards_hull(self._interval(self._runs(wider_B)), resampled, beyond.unseen),
            extrapolation=extrapolation,
            outside=outside,
            resampling_interval=resampled,
            parts=self._parts(drawn_B, beyond),
        )

    def drawn(self, **variables: float) -> np.ndarray | None:
        """Draws of the response, with the error of the law's form; None without a bootstrap.

        Their percentiles are the `law_interval` of `predict`.
        """
        value = float(self.definition.value(self._constants_P, variables))
        draws_B = self._resampled(variables, value)
        if draws_B is None:
            return None
        return self._with_form_error(draws_B, value, self._known_beyond(variables))

    def _resampled(self, variables: Mapping[str, float], value: float) -> np.ndarray | None:
        """The response by every resampled fit."""
        if self.draws_BxP is None:
            return None
        draws_B = self.definition.value(self.draws_BxP, variables)
        if not self.members:
            return draws_B
        own_J = self.definition.value(constants_of(self.members), variables)
        return about(self.members, draws_B, own_J, value)

    def _between(self, variables: Mapping[str, float]) -> float:
        """Standard deviation of the log response over the members of an average."""
        if not self.members:
            return 0.0
        each_J = self.definition.value(constants_of(self.members), variables)
        return scatter_between(self.members, np.log(each_J))

    def _extrapolation(self, variables: Mapping[str, float]) -> float:
        """FLOPs over the largest fitted; NaN where the variables do not tell them."""
        flops = variables.get("flops", math.nan)
        if "flops" not in variables and {"params", "tokens"}.issubset(variables):
            flops = self.compute.of(variables["params"], variables["tokens"])
        return flops / self.flops_range[1]

    def _ratio(self, variables: Mapping[str, float]) -> float:
        """How far beyond the data a run is: in compute, in size, or in data, whichever is most."""
        beyond = [
            variables[n] / self.ranges[n][1] for n in FALLING if n in self.ranges.keys() & variables
        ]
        beyond.append(self._extrapolation(variables))
        return max((x for x in beyond if math.isfinite(x)), default=1.0)

    def _with_form_error(self, draws_B: np.ndarray, value: float, beyond: Beyond) -> np.ndarray:
        """Draws of the response with the error of the form in them."""
        if self.form_error is None:
            return draws_B
        if self.error_surface is not None:
            return evened(draws_B, value, beyond.deviation)
        centre = value if self.members else None
        freedom, share = self.form_error.freedom, self.form_error.between
        deviation = combined(beyond.deviation, beyond.between, share)
        return wider(draws_B, deviation, freedom, centre, beyond.unseen)

    def _known_beyond(self, variables: Mapping[str, float]) -> Beyond:
        """What is known of the error of the response; the deviation is zero where nothing is."""
        error = self.form_error
        if self.error_surface is not None:
            deviation = self.error_surface.of(variables["params"], variables["tokens"])
            return Beyond(deviation, self._between(variables), unseen=0.0)
        distance = self._ratio(variables)
        return Beyond(
            deviation=loss_deviation(error, self.definition, variables, distance),
            between=self._between(variables),
            # The error of a single law adds to the noise of its fit, whatever cut-offs have seen.
            unseen=1.0 if error is None or not self.members else error.unseen(distance),
        )

    def _parts(self, draws_B: np.ndarray, beyond: Beyond) -> dict[str, float]:
        if not self.is_logged or not (draws_B > 0).all():
            return {}
        share = 0.0 if self.form_error is None else self.form_error.between
        noise_N = np.zeros(1) if self.noise_N is None else self.noise_N
        runs = float(np.sqrt(np.mean(noise_N**2)))
        if self.error_surface is not None:
            return {"runs": runs} | parts_within(draws_B, beyond)
        return {"runs": runs} | parts_of(draws_B, beyond, share)

    def _beyond(self, drawn: Frontier, flops: float) -> Frontier:
        error = self.form_error
        if error is None:
            return drawn
        point, ratio = self._frontier(self._constants_P, flops), flops / self.flops_range[1]
        largest, law, between = self.flops_range[1], self.definition, 0.0
        deviation = params_deviation(error, law, ratio, largest, self.compute)
        params, loss, centre = drawn.params, drawn.loss, None
        if self.members:
            each, centre = self._frontier(constants_of(self.members), flops), float(point.params)
            with np.errstate(all="ignore"):
                scatter = scatter_between(self.members, np.log(each.params))
            deviation = combined(deviation, scatter, error.between)
            params = about(self.members, params, each.params, centre)
            if loss is not None and each.loss is not None and point.loss is not None:
                between = scatter_between(self.members, np.log(each.loss))
                loss = about(self.members, loss, each.loss, float(point.loss))
        # Draws given the rows hold the misfit as well as the noise: no interval is narrower.
        unseen = error.unseen(ratio) if self.error_surface is None else 1.0
        params = wider(params, deviation, error.freedom, centre, unseen)
        if loss is not None and point.loss is not None:
            best = {"params": float(point.params), "tokens": float(point.tokens)}
            known = Beyond(loss_deviation(error, law, best, ratio), between, unseen)
            if self.error_surface is not None:
                known = self._known_beyond(best)
            loss = self._with_form_error(loss, float(point.loss), known)
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
                require_positive(name, value)
            elif not math.isfinite(value):
                raise InputError(f"{name} {value} must be finite")
