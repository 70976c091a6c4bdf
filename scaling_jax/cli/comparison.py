"""`fit --approach all`: the approaches side by side."""

import dataclasses
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.cli.output import print_table
from scaling_jax.formatting import plain_spaces
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.laws import Allocation, Comparison, Estimate, Optimum

EXPONENTS = ("approach", "a: N_opt ~ C^a", "b: D_opt ~ C^b")
OPTIMA = ("approach", "N_opt", "D_opt", "D/N", "loss")


def print_comparison(compared: "Comparison") -> None:
    """Exponents, the optimum at the largest budget and ten times it, and every approach's notes."""
    from scaling_jax.laws.fit_text import COUNTS

    allocations = list(compared.allocations().values())
    first = allocations[0]
    level = formatting.level(first.level)
    bounds = f" ({level} intervals in brackets)" if first.optima[0].params_interval else ""
    print(plain_spaces(f"{COUNTS.get(first.count, first.count)}{bounds}.\n"))
    print_table(Table(EXPONENTS, [_exponents(each) for each in allocations], EXPONENTS[:1]))
    for k, flops in enumerate(compared.budgets()):
        where = (
            "At the largest budget"
            if k == 0
            else f"At {flops / compared.budgets()[0]:g} times that"
        )
        print(plain_spaces(f"\n{where}, {formatting.flops(flops)} FLOPs:"))
        rows = [(_name(each), *_optimum(each.optima[k])) for each in allocations]
        print_table(Table(OPTIMA, rows, OPTIMA[:1]))
    print()
    for approach, reason in compared.refused.items():
        print(plain_spaces(f"approach {approach} was not fitted: {reason}"))
    for approach, fit in compared.fits.items():
        for sentence in fit.diagnostics:
            print(plain_spaces(f"note on {approach}: {sentence}"))


def comparison_as_json(compared: "Comparison") -> dict[str, Any]:
    """Every allocation, every fit less its draws, and why the others were refused."""
    from scaling_jax.laws.fit_text import summary_of

    allocations = compared.allocations()
    return {
        "allocations": {key: dataclasses.asdict(each) for key, each in allocations.items()},
        "refused": dict(compared.refused),
        "fits": {key: summary_of(fit) for key, fit in compared.fits.items()},
    }


def _name(allocation: "Allocation") -> str:
    return f"{allocation.approach}: {allocation.method}"


def _exponents(allocation: "Allocation") -> tuple[str, ...]:
    return (_name(allocation), *map(_exponent, allocation.exponents.values()))


def _exponent(estimate: "Estimate") -> str:
    return _cell(estimate.value, estimate.interval, "{:.3f}".format)


def _optimum(optimum: "Optimum") -> tuple[str, ...]:
    return (
        _cell(optimum.params, optimum.params_interval, formatting.count),
        _cell(optimum.tokens, optimum.tokens_interval, formatting.count),
        formatting.significant(optimum.tokens / optimum.params),
        _cell(optimum.loss, optimum.loss_interval, formatting.loss),
    )


def _cell(value: Any, bounds: object, form: Any) -> str:
    text = formatting.interval(bounds, form)
    return f"{form(value)} ({text})" if text else form(value)
