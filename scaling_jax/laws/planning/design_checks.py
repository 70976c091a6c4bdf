"""What a design identifies, before it is trained: the interval of its answer, and what is wrong.

The noise's part of an interval is that of the assumed law linearized about its constants
(`answers`); the form's part is that of `other_forms`.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import frontier_names
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.catalogue.linearized import centre_of, slopes
from scaling_jax.laws.conventions import BEYOND, LEVEL
from scaling_jax.laws.extrapolation.other_laws import without_floor
from scaling_jax.laws.planning.answers import (
    ANSWERS,
    Target,
    noise_errors,
    standard_errors,
    two_sided,
)
from scaling_jax.laws.planning.design_score import Cells, DesignScore, Doubt, Floor
from scaling_jax.laws.planning.known import KnownLaw, published_law
from scaling_jax.laws.planning.other_forms import form_errors

# Standard deviation of a run's log loss that is assumed where none is given.
RUN_NOISE = 0.003

# Share of the losses above which a law of other runs does not reach the size of these.
_MOST_REDUCIBLE = 0.5


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
    of_form, any_power = (
        without_floor(law.form, law.constants_P, cells.values, power) for power in (1.0, None)
    )
    _, _, _, _, log_loss = target.answers(SKALING, of_form.constants_P)
    return Floor(
        error=math.sqrt(float(covariance_FxF[at, at])),
        misfit=any_power.misfit,
        misfit_of_form=of_form.misfit,
        moved=float(log_loss) - math.log(float(law.loss(target.params, target.tokens))),
    )
