"""Profile likelihood of everything a fit is read for."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling_jax.laws.catalogue.find import LawLike, find_law
from scaling_jax.laws.tables.read import Table, load_table
from scaling_jax.laws.tables.select import usable_rows
from scaling_jax.laws.uncertainty.profile import Profile, profile


@dataclass(frozen=True)
class Profiles:
    """The profiles of one law on one table.

    Attributes:
        constants: name -> profile, of every constant that is not held.
        exponents: `a` and `b`; empty for a law without a frontier, and where C is no
            product of powers of N and D.
        optima: budget in FLOPs -> `params`, `tokens` and `loss` of its optimum.
    """

    constants: Mapping[str, Profile]
    exponents: Mapping[str, Profile]
    optima: Mapping[float, Mapping[str, Profile]]


def profiles(
    table: Table,
    *,
    law: LawLike = "chinchilla",
    budgets: Sequence[float] = (),
    fixed: Mapping[str, float] | None = None,
    **options: Any,
) -> Profiles:
    """Profiles of the law's constants, of its exponents and of the optimum at each budget.

    Args:
        table: losses, as `fit` takes them.
        law, fixed: as `fit` takes them.
        budgets: in FLOPs.
        **options: `level`, `count`, `objective` and `columns`, as `profile` takes them.

    Raises:
        InputError: as `profile`.
    """
    form = find_law(law)
    free = [name for name in form.names if name not in {*form.held, *(fixed or {})}]

    def of(quantity: str, flops: float | None = None) -> Profile:
        return profile(table, quantity, law=form, flops=flops, fixed=fixed, **options)

    constants = {name: of(name) for name in free}
    if form.frontier is None:
        return Profiles(constants, {}, {})
    count = options.get("count", "total")
    compute = usable_rows(load_table(table, form, options.get("columns")), count, form).compute
    if compute.undetermined or compute.offset:
        return Profiles(constants, {}, {})
    a = of("a")
    optima = {}
    for flops in budgets:
        params = of("params", flops)
        # At a budget D is C / k over N^p, and b is 1 - p a: each has the other's profile.
        tokens = _turned(params, "tokens", lambda n, c=flops: c / compute.of(n, 1.0))
        loss = dataclasses.replace(of("frontier_loss", flops), name="loss")
        optima[float(flops)] = {"params": params, "tokens": tokens, "loss": loss}
    b = _turned(a, "b", lambda a: 1 - compute.power * a)
    return Profiles(constants, {"a": a, "b": b}, optima)


def _turned(found: Profile, name: str, falling: Any) -> Profile:
    """The profile of a quantity that falls as another rises."""

    def of(value: float) -> float:
        return float("inf") if name == "tokens" and value == 0 else falling(value)

    low, high = found.interval
    return Profile(
        name=name,
        estimate=of(found.estimate),
        interval=(of(high), of(low)),
        level=found.level,
        values=tuple(of(value) for value in reversed(found.values)),
        deviance=tuple(reversed(found.deviance)),
    )
