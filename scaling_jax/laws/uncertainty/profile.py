"""Profile likelihood: how much worse the best fit gets as a quantity is moved off its optimum."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.catalogue.find import LawLike, find_law
from scaling_jax.laws.conventions import LEVEL, Count
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.solver.convergence import require_converged
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.tables.read import Table, load_table
from scaling_jax.laws.tables.select import Rows, usable_rows
from scaling_jax.laws.uncertainty.profile_curve import AT_A_BUDGET, Curve, Follower

EXPONENTS = ("a", "b")
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class Profile:
    """The profile of one quantity.

    Attributes:
        name: of the quantity.
        estimate: at the optimum.
        interval: where the profile stays below the level's threshold; infinite or zero ends
            where it never rises above it, which means that the data do not bound it there.
        level: of the interval.
        values, deviance: the profile itself: the quantity, and the scaled rise of the objective,
            which is compared with a chi-squared of one degree of freedom.
    """

    name: str
    estimate: float
    interval: Interval
    level: float
    values: tuple[float, ...]
    deviance: tuple[float, ...]


def profile(
    table: Table,
    quantity: str,
    *,
    law: LawLike = "chinchilla",
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    level: float = LEVEL,
    count: Count = "total",
    objective: str | None = None,
    fixed: Mapping[str, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Profile:
    """The profile likelihood of a constant, an exponent, an optimum or a predicted loss.

    `quantity` is a constant of the law, `a` or `b` (exponents of N_opt and D_opt in C),
    `params`, `tokens` or `frontier_loss` at the optimum of `flops`, or `loss` at `params` and
    `tokens`. The objective's rise is scaled by its own curvature and the residuals' spread
    (Schrader and Hettmansperger 1980), so that Huber's loss with a small delta is treated as
    what it is, nearly a sum of absolute values; for squares that is the Gaussian profile.
    `fixed` are constants that are held and `columns` names of columns, as in `fit`.

    Raises:
        InputError: an unknown quantity, one that is held, or one whose budget, size or tokens
            are missing; a fit that does not converge; an optimum in a C that is no product of
            powers of N and D.
    """
    form = find_law(law)
    chosen = form.default_objective if objective is None else objective_named(objective)
    rows = usable_rows(load_table(table, form, columns), count, form)
    at = _where(form, quantity, flops, params, tokens)
    if quantity in (*EXPONENTS, *AT_A_BUDGET):
        _require_powers(rows)
    fit = optimum(form, rows.variables, rows.response, rows.weight, objective=chosen, fixed=fixed)
    if quantity in form.names and not fit.free_P[form.names.index(quantity)]:
        raise InputError(f"{quantity} is held, so it has no profile: ask for another quantity")
    require_converged(form, fit, len(rows))
    found = Follower(form, quantity, rows, fit, chosen, at).profile(level)
    in_logs = quantity not in EXPONENTS and (
        quantity not in form.names or quantity in form.positive
    )
    return _readable(quantity, found, level, in_logs)


def _where(
    law: Law, name: str, flops: float | None, params: float | None, tokens: float | None
) -> tuple[float, ...]:
    """The budget, or the size and tokens, that the quantity is taken at."""
    frontier = (*EXPONENTS, *AT_A_BUDGET, "loss") if law.frontier else ()
    if name not in (*law.names, *frontier):
        raise InputError(
            f"the law {law.name!r} has no quantity {name!r}"
            f"{suggestion(name, (*law.names, *frontier))}"
        )
    given = {"flops": flops} if name in AT_A_BUDGET else {"params": params, "tokens": tokens}
    if name in law.names or name in EXPONENTS:
        return ()
    for what, value in given.items():
        if value is None or not 0 < value < math.inf:
            raise InputError(f"the profile of {name!r} needs {what}, positive and finite: {value}")
    return tuple(float(value) for value in given.values() if value is not None)


def _require_powers(rows: Rows) -> None:
    """Refuse a profile of an optimum that has no closed form, along which it would be followed."""
    compute = rows.compute
    if compute.undetermined:
        raise InputError(compute.undetermined)
    if compute.offset:
        raise InputError(
            f"C is {compute.column}, {compute.relation}: exponents and optima have profiles where "
            "C is a product of powers of N and D alone; take the bootstrap's intervals, or leave "
            "the column out to take C = 6 N D"
        )


def _readable(name: str, curve: Curve, level: float, in_logs: bool) -> Profile:
    out = math.exp if in_logs else float

    def back(value: float) -> float:
        return math.inf if in_logs and value > _LARGEST_LOG else out(value)

    return Profile(
        name=name,
        estimate=back(curve.estimate),
        interval=(back(curve.low), back(curve.high)),
        level=level,
        values=tuple(map(back, curve.values.tolist())),
        deviance=tuple(curve.deviance.tolist()),
    )
