"""A fitted law with its uncertainty: what it predicts, what it recommends, how it is stored."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import (
    Allocation,
    Estimate,
    Frontier,
    Interval,
    Optimum,
    Prediction,
    interval,
)
from scaling_jax.laws.catalogue import power_sum_named
from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Minimum
from scaling_jax.laws.stored import plain, revived

FORMAT = 2
_SCATTERS_PER_DRAW = 16


@dataclass(frozen=True)
class Fit:
    """A fitted law or pair of power laws.

    Attributes:
        approach: 1, 2 or 3 of Hoffmann et al. 2022.
        law: name of the form; `power-laws` for approaches 1 and 2.
        params: its constants. For `power-laws`, N_ref and D_ref at `reference_flops`, a and b,
            and, with minima enough, E, K_ref, gamma of `L_opt = E + K_ref (C / C_ref)^-gamma`.
        level: of every interval.
        count: which parameters N counts.
        objective: name, delta, reduction and value of what was minimized.
        n_points: rows (approach 3), budgets (2) or frontier points (1) fitted.
        n_dropped: reason -> rows or budgets left out.
        diagnostics: sentences about what the data can and cannot say.
        flops_range: least and most FLOPs fitted.
        reference_flops: where power laws have the value N_ref and D_ref.
        provenance: package version, hash of the records, options.
        draws_BxP: bootstrap constants, in the order of `params`; None without a bootstrap.
        noise_N: scatter of single runs about the law, as log residuals.
        minima: what approach 2 read off the data.
        frontier_points, sizes: what approach 1 read off the curves.
    """

    approach: int
    law: str
    params: Mapping[str, float]
    level: float
    count: str
    objective: Mapping[str, Any]
    n_points: int
    n_dropped: Mapping[str, int]
    diagnostics: tuple[str, ...]
    flops_range: tuple[float, float]
    reference_flops: float
    provenance: Mapping[str, Any]
    draws_BxP: np.ndarray | None = None
    noise_N: np.ndarray | None = None
    minima: tuple[Minimum, ...] = ()
    frontier_points: FrontierPoints | None = None
    sizes: tuple[EnvelopeSize, ...] = ()

    @property
    def exponents(self) -> dict[str, float]:
        """Exponents a of N_opt and b of D_opt in C; empty for a law without a frontier."""
        return {name: float(value) for name, value in self._exponents(self._constants).items()}

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
        if self.draws_BxP is None:
            return None
        drawn = self._exponents(self.draws_BxP)
        return {name: interval(draws, self.level) for name, draws in drawn.items()}

    @property
    def method(self) -> str:
        """How the frontier was found, in words."""
        if self.approach == 3:
            return f"parametric law {self.law}"
        if self.approach == 2:
            done = ", corrected" if self.objective["corrected"] else ""
            return f"IsoFLOP minima by {self.objective['curve']}{done}"
        return "envelope of training curves"

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
            InputError: a budget that is not positive and finite, or a law without a frontier.
        """
        _require_positive("flops", flops)
        point = self._frontier(self._constants, flops)
        drawn = None if self.draws_BxP is None else self._frontier(self.draws_BxP, flops)
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

    def predict(self, *, params: float, tokens: float) -> Prediction:
        """The loss of a model of `params` parameters trained on `tokens` tokens.

        Raises:
            InputError: a value that is not positive and finite, or approach 1 or 2, which fit no
                loss.
        """
        if self.approach != 3:
            raise InputError(
                f"approach {self.approach} fits the optimum, not the loss: "
                "fit with approach 3 to predict losses"
            )
        _require_positive("params", params)
        _require_positive("tokens", tokens)
        form, values = power_sum_named(self.law), {"params": params, "tokens": tokens}
        drawn_B = None if self.draws_BxP is None else form.value(self.draws_BxP, values)
        return Prediction(
            loss=float(form.value(self._constants, values)),
            law_interval=self._interval(drawn_B),
            interval=self._interval(self._with_noise(drawn_B)),
            extrapolation=allocation.FLOPS_PER_PARAM_TOKEN * params * tokens / self.flops_range[1],
        )

    def to_json(self) -> str:
        """The fit as JSON; what `from_json` reads."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data |= {"format": FORMAT, "exponents": self.exponents, "intervals": self.intervals}
        data |= {"exponent_intervals": self.exponent_intervals}
        return json.dumps(plain(data), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Fit":
        """Read what `to_json` wrote.

        Raises:
            InputError: not such a file, or one of another format.
        """
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise InputError(
                    f"this fit has format {data['format']}, but this package reads {FORMAT}: "
                    "fit the records again"
                )
            names = {field.name for field in dataclasses.fields(cls)}
            return cls(**revived({name: data[name] for name in names}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"not a fit written by scaling_jax ({type(error).__name__}: {error}): "
                "make one with `scaling-jax fit RECORDS --out fit.json`"
            ) from error

    @property
    def _constants(self) -> np.ndarray:
        return np.array(list(self.params.values()))

    def _frontier(self, constants_P: np.ndarray, flops: float) -> Frontier:
        if self.approach == 3:
            return allocation.form_frontier(power_sum_named(self.law), constants_P, flops)
        return allocation.power_law_frontier(constants_P, self.reference_flops, flops)

    def _exponents(self, constants_P: np.ndarray) -> dict[str, np.ndarray]:
        if self.approach == 3:
            return allocation.form_exponents(power_sum_named(self.law), constants_P)
        names = list(self.params)
        return {name: constants_P[..., names.index(name)] for name in ("a", "b")}

    def _interval(self, draws_B: np.ndarray | None) -> Interval | None:
        return None if draws_B is None else interval(draws_B, self.level)

    def _with_noise(self, drawn_B: np.ndarray | None) -> np.ndarray | None:
        """Every draw with several runs' scatter, so that the interval is one of measurements."""
        if drawn_B is None or self.noise_N is None:
            return None
        rng = np.random.default_rng(0)
        noise_BxS = rng.choice(self.noise_N, size=(len(drawn_B), _SCATTERS_PER_DRAW))
        return (drawn_B[:, None] * np.exp(noise_BxS)).ravel()


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name} {value} must be positive and finite")
