"""What a design identifies, before it is trained: the interval of its answer, and what is wrong.

The noise's part of an interval is that of the assumed law linearized about its constants
(`answers`); the form's part is that of `other_forms`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import frontier_names
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.conventions import BEYOND, FLOPS_PER_PARAM_TOKEN, LEVEL
from scaling_jax.laws.planning.answers import (
    ANSWERS,
    Target,
    hidden_misfit,
    noise_errors,
    standard_errors,
    two_sided,
)
from scaling_jax.laws.planning.known import KnownLaw, published_law
from scaling_jax.laws.planning.linearized import centre_of, slopes
from scaling_jax.laws.planning.other_forms import form_errors, without_floor

# Standard deviation of a run's log loss that is assumed where none is given.
RUN_NOISE = 0.003

# Runs on one ray of tokens per parameter have condition numbers of 1e2 to 1e3 where alpha and beta
# differ by 0.06 (Kricheli et al. 2026, arXiv 2605.08541); IsoFLOP grids have about 10.
_SEPARATE = 100.0
# On a ray, tokens per parameter vary far less than sizes do.
_RAY = 0.5
# Share of the losses above which a law of other runs does not reach the size of these.
_MOST_REDUCIBLE = 0.5
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


def score(
    cells: Cells,
    law: KnownLaw | None = None,
    *,
    noise: float = RUN_NOISE,
    level: float = LEVEL,
    target: Target | None = None,
) -> DesignScore:
    """The interval of the answer that a design is expected to give.

    >>> import numpy as np
    >>> from scaling_jax.laws.planning.design_checks import Cells, score
    >>> params = np.geomspace(1e8, 1e10, 12)
    >>> [warning.code for warning in score(Cells.of(params, 20 * params)).warnings]
    ['single-ray', 'floor-unidentified']

    Args:
        cells: the runs.
        law: what losses are assumed to follow, with a frontier; `assumed_law` by default.
        noise: standard deviation of a run's log loss.
        level: of the interval.
        target: what is asked; by default the optimum at `BEYOND` times the largest budget.

    Raises:
        InputError: a law without a frontier, a noise or level outside its range, or no more runs
            than the law has constants to fit.
    """
    if not 0 < noise < math.inf:
        raise InputError(f"noise {noise} must be positive and finite")
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1")
    law = assumed_law(cells) if law is None else law
    n_free = len(set(law.form.names) - set(law.form.held))
    if len(cells.params_N) <= n_free:
        raise InputError(
            f"{len(cells.params_N)} runs determine no interval of {n_free} constants: give more"
        )
    target = target or Target.optimum(law, BEYOND * float(cells.budget_N.max()))
    return DesignScore(
        cells=cells,
        law=law,
        noise=noise,
        level=level,
        target=target,
        doubts=answer_doubts(law, cells.values, target, noise, level),
        condition=_condition(cells, law),
        span=float(cells.budget_N.max() / cells.budget_N.min()),
        leverage=_leverage(cells, target),
        floor=_floor(cells, law, target, noise),
    )


def assumed_law(cells: Cells) -> KnownLaw:
    """The law of Besiroglu et al. 2024, moved to the design where its own runs are far away.

    The published constants stand where the floor is at least half of the loss at the centre of the
    design, its mean log N and log D. Losses of much smaller models on other tokens are not those
    that the law gives there, so then A and B are such that the centre is an optimum and has twice
    the floor's loss; the exponents and E stay.
    """
    law = published_law("chinchilla-besiroglu")
    params, tokens = (float(np.exp(np.log(x_N).mean())) for x_N in cells.values.values())
    floor, alpha, beta = (law.constants[name] for name in ("E", "alpha", "beta"))
    if floor >= _MOST_REDUCIBLE * float(law.loss(params, tokens)):
        return law
    moved = {
        "A": floor * beta / (alpha + beta) * params**alpha,
        "B": floor * alpha / (alpha + beta) * tokens**beta,
    }
    source = f"exponents and floor of {law.source}; A and B centred on the design"
    return replace(law, constants=dict(law.constants) | moved, source=source)


def answer_doubts(
    law: KnownLaw, values: Mapping[str, np.ndarray], target: Target, noise: float, level: float
) -> dict[str, Doubt]:
    """How far a fit's answers may be from the truth, by noise and by the law's form.

    Args:
        law: the assumed law; its form is fitted.
        values: params and tokens of every run.
        target: what is asked.
        noise: standard deviation of a run's log loss.
        level: of the half-widths.

    Raises:
        InputError: a law without a frontier.
    """
    by_noise_A = two_sided(level) * noise_errors(law, values, target, noise)
    by_form_A = form_errors(law, values, target, noise)
    pairs = zip(ANSWERS, by_noise_A.tolist(), by_form_A.tolist(), strict=True)
    return {name: Doubt(of_noise, of_form) for name, of_noise, of_form in pairs}


def _condition(cells: Cells, law: KnownLaw) -> float:
    form = law.form
    slopes_NxP = slopes(form, law.constants_P, centre_of(form, cells.values), cells.values)
    _, _, *coefficients = frontier_names(form)
    of_terms_NxT = slopes_NxP[:, [form.names.index(name) for name in coefficients]]
    return float(np.linalg.cond(of_terms_NxT / np.linalg.norm(of_terms_NxT, axis=0)) ** 2)


def _leverage(cells: Cells, target: Target) -> float:
    """Variance of a quadratic in log C at the target, in units of a run's variance."""
    log_flops_N = np.log(cells.budget_N)
    centre, spread = log_flops_N.mean(), log_flops_N.std()
    if not spread:
        return math.inf
    powers_NxQ = np.vander((log_flops_N - centre) / spread, 3)
    at_Q = np.vander([(math.log(target.flops) - centre) / spread], 3)[0]
    return float(at_Q @ np.linalg.pinv(powers_NxQ.T @ powers_NxQ) @ at_Q)


def _floor(cells: Cells, law: KnownLaw, target: Target, noise: float) -> Floor | None:
    if not law.constants.get("E"):
        return None
    covariance_FxF, free_F = standard_errors(law, cells.values, noise)
    at = list(free_F).index(law.form.names.index("E"))
    of_form, any_power = (without_floor(law, cells.values, power) for power in (1.0, None))
    _, _, _, _, log_loss = target.answers(SKALING, of_form.constants_P)
    return Floor(
        error=math.sqrt(float(covariance_FxF[at, at])),
        misfit=any_power.misfit,
        misfit_of_form=of_form.misfit,
        moved=float(log_loss) - math.log(float(law.loss(target.params, target.tokens))),
    )
