"""What a design is expected to find out: its answer's interval, and what it cannot identify."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.planning.answers import Target, hidden_misfit
from scaling_jax.laws.planning.known import KnownLaw

# Runs on one ray of tokens per parameter have condition numbers of 1e2 to 1e3 where alpha and beta
# differ by 0.06 (Kricheli et al. 2026, arXiv 2605.08541); IsoFLOP grids have about 10.
_SEPARATE = 100.0
# On a ray, tokens per parameter vary far less than sizes do.
_RAY = 0.5
_FEWEST_VALUES = 3


@dataclass(frozen=True)
class Cells:
    """The runs of a design that a law is fitted to.

    Attributes:
        params_N, tokens_N: size and training tokens of every run; a run of another seed is a row.
        budget_N: FLOPs that each run was planned for.

    Raises:
        InputError: arrays of unequal length, values that are not positive and finite, or fewer
            than three sizes or three numbers of tokens, which determine no law.
    """

    params_N: np.ndarray
    tokens_N: np.ndarray
    budget_N: np.ndarray

    @classmethod
    def of(
        cls, params_N: ArrayLike, tokens_N: ArrayLike, budget_N: ArrayLike | None = None
    ) -> "Cells":
        """The runs of given sizes and tokens, planned for 6 N D where no budgets are given."""
        params_N, tokens_N = (np.asarray(value_N, np.float64) for value_N in (params_N, tokens_N))
        if budget_N is None:
            budget_N = FLOPS_PER_PARAM_TOKEN * params_N * tokens_N
        return cls(params_N, tokens_N, np.asarray(budget_N, np.float64))

    def __post_init__(self) -> None:
        for name in ("params_N", "tokens_N", "budget_N"):
            value_N = getattr(self, name)
            if value_N.shape != (len(self.params_N),):
                raise InputError(f"the design's {name} has another length than its params_N")
            if not (np.isfinite(value_N).all() and (value_N > 0).all()):
                raise InputError(f"the design's {name} must be positive and finite")
        for name, value_N in (("sizes", self.params_N), ("numbers of tokens", self.tokens_N)):
            if (n := len(np.unique(value_N))) < _FEWEST_VALUES:
                raise InputError(
                    f"the design has {n} {name}, which determine no law of size and data: give at "
                    f"least {_FEWEST_VALUES}"
                )

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The variables of laws of size and data."""
        return {"params": self.params_N, "tokens": self.tokens_N}


@dataclass(frozen=True)
class Doubt:
    """How far an answer may be from the truth: half-widths at the level of a design's score.

    Sizes, tokens and losses have half-widths of their logarithms, the exponents `a` and `b` of
    themselves.

    Attributes:
        noise: by the noise of the runs.
        form: because losses may follow a law of another form.
    """

    noise: float
    form: float

    @property
    def total(self) -> float:
        """Both together, as independent errors."""
        return math.hypot(self.noise, self.form)


@dataclass(frozen=True)
class Floor:
    """How well a design determines the floor E.

    Attributes:
        error: standard error of the fitted floor, as a share of it.
        misfit: root mean square of the differences in log loss that a law without a floor, with
            any k of 0.1 to 1, leaves.
        misfit_of_form: the same of the assumed law's form without its floor, k = 1.
        moved: logarithm of the loss at the target by that law over the assumed law's.
    """

    error: float
    misfit: float
    misfit_of_form: float
    moved: float


@dataclass(frozen=True)
class DesignWarning:
    """A weakness of a design.

    Attributes:
        code: `single-ray`, `budgets-close` or `floor-unidentified`.
        sentence: what is weak, by how much, and the remedy.
    """

    code: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.sentence} [{self.code}]"


@dataclass(frozen=True)
class DesignScore:
    """What a design is expected to find out, if its losses follow a law.

    Attributes:
        cells: the runs.
        law: what losses are assumed to follow.
        noise: standard deviation of a run's log loss.
        level: of the half-widths.
        target: what is asked.
        doubts: of `a`, `b`, `params`, `tokens` and `loss` at the target.
        condition: condition number of J'J for the coefficients A of N and B of D, J being the
            slopes of log losses, its columns scaled to one length.
        span: largest budget over smallest.
        leverage: variance of a quadratic in log C, fitted to the budgets, at the target, over the
            noise's variance. It grows as the fourth moment of log C falls.
        floor: how well the runs determine the floor; None for a law without one.
    """

    cells: Cells
    law: KnownLaw
    noise: float
    level: float
    target: Target
    doubts: Mapping[str, Doubt]
    condition: float
    span: float
    leverage: float
    floor: Floor | None

    @property
    def extrapolation(self) -> float:
        """Budget of the target over the largest of the design."""
        return self.target.flops / float(self.cells.budget_N.max())

    @property
    def hidden(self) -> float:
        """Root mean square of log losses that the noise of the runs hides at the level."""
        return hidden_misfit(self.noise, self.level, len(self.cells.params_N))

    @property
    def warnings(self) -> tuple[DesignWarning, ...]:
        """What the design cannot identify, worst first."""
        found = (self._single_ray(), self._budgets_close(), self._floor_unidentified())
        return tuple(warning for warning in found if warning)

    def _single_ray(self) -> DesignWarning | None:
        log_ratio_N = np.log(self.cells.tokens_N / self.cells.params_N)
        is_ray = log_ratio_N.std() < _RAY * np.log(self.cells.params_N).std()
        if self.condition < _SEPARATE or not is_ray:
            return None
        low, high = (f"{value:.3g}" for value in np.exp([log_ratio_N.min(), log_ratio_N.max()]))
        return DesignWarning(
            "single-ray",
            "log N and log D are nearly collinear over the design: all runs have "
            f"{low if low == high else f'{low} to {high}'} tokens per parameter, and the effects "
            f"of N and D on the loss have a condition number of {self.condition:.2g}; only the sum "
            "A + B k^-alpha of a ray D = k N is determined (Kricheli et al. 2026, 2605.08541), not "
            "the optimum; vary N at fixed compute",
        )

    def _budgets_close(self) -> DesignWarning | None:
        if self.span >= self.extrapolation:
            return None
        return DesignWarning(
            "budgets-close",
            f"the budgets span a factor of {self.span:.3g}, but the answer is asked "
            f"{self.extrapolation:.3g} times beyond the largest, where a curved trend in log C "
            f"has {math.sqrt(self.leverage):.3g} times the error of one run; add smaller and "
            "larger budgets",
        )

    def _floor_unidentified(self) -> DesignWarning | None:
        if self.floor is None or self.floor.misfit > self.hidden:
            return None
        return DesignWarning(
            "floor-unidentified",
            f"a law without a floor would fit these runs to {100 * self.floor.misfit:.2g} % in the "
            f"mean, less than the {100 * self.hidden:.2g} % that their noise hides, so the floor E "
            "may as well be 0; add budgets at both ends, or hold a floor that is known",
        )
