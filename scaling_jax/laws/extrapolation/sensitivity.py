"""The answer under other forms, floors, rows and weights: the table of a careful appendix."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.catalogue import CHINCHILLA, SKALING, Law
from scaling_jax.laws.conventions import Count
from scaling_jax.laws.extrapolation.average import fit_average
from scaling_jax.laws.extrapolation.sensitivity_cases import Case, Changes
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.check import reads_size_and_data
from scaling_jax.laws.tables.read import Table, load_table
from scaling_jax.laws.tables.select import Rows, usable_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sensitivity:
    """The answer, and what it would be with one thing changed at a time.

    Attributes:
        at: params and tokens of the run asked about.
        flops: its compute, the budget that N_opt is of.
        cases: the answer, then every change.
        left_out: how many runs were left out one at a time; 0 where none was.
        run_law: the law of the fits without a run.
        run_ranges: the least and the greatest `loss` and `params` over these.
        level: of the intervals.
        count: which parameters N counts.
        unit: of the loss; empty where it is not known.
    """

    at: Mapping[str, float]
    flops: float
    cases: tuple[Case, ...]
    left_out: int
    run_law: str
    run_ranges: Mapping[str, Interval]
    level: float
    count: str
    unit: str

    def table(self) -> "pd.DataFrame":
        """One row per case: `kind`, `case`, the answers with their intervals, and `reason`.

        The answers are `loss` and `params` (N_opt), each with `_low` and `_high`, and `loss_change`
        and `params_change`, as shares of the first row's, or, where a run is left out, of the row
        of the same law with all runs; what is not known is NaN.
        """
        import pandas as pd

        return pd.DataFrame([_row(case, self.unchanged(case)) for case in self.cases])

    def unchanged(self, case: Case) -> Case:
        """The case that another is compared with: the answer, or the law with all runs."""
        named = (each for each in self.cases if each.name == self.run_law)
        return next(named, self.cases[0]) if case.kind == "run" else self.cases[0]

    def data(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        """The table and its range in words."""
        from scaling_jax.laws.extrapolation.sensitivity_text import sensitivity_text

        return "\n".join(map(str, sensitivity_text(self)))


def _row(case: Case, unchanged: Case) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": case.kind, "case": case.name}
    for name in ("loss", "params"):
        bounds = getattr(case, f"{name}_interval") or (math.nan, math.nan)
        row |= {name: _number(getattr(case, name))}
        row |= {f"{name}_low": bounds[0], f"{name}_high": bounds[1]}
        row[f"{name}_change"] = row[name] / _number(getattr(unchanged, name)) - 1
    return {**row, "reason": case.reason}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def sensitivity(
    table: Table,
    *,
    flops: float | None = None,
    at: Mapping[str, float] | None = None,
    fit: Fit | None = None,
    floors: Sequence[float] = (),
    columns: Mapping[str, str] | None = None,
) -> Sensitivity:
    """The loss of a run and N_opt at its budget, under other forms, floors, rows and weights.

    Changed one at a time: the form; the floor, fitted, 0 or declared; the smallest or the largest
    budget left out; rows within 5 or 2 % of the frontier; weights C^0.5 or C; every run left out.
    Runs are left out of the fitted law, and of the law `skaling` where the fit is an average.

    Args:
        table: what was fitted, as `fit` takes it.
        flops: the budget asked about; the run is the optimum that the fit has there.
        at: instead of `flops`, the run's `params` and `tokens`.
        fit: of the table; by default that of the law `auto`.
        floors: values of E to declare besides.
        columns: our name -> the table's.

    Raises:
        InputError: neither or both of `flops` and `at`; a table that cannot be fitted, or another
            than the fit's; a fit that is not of the loss in params and tokens.
    """
    if (flops is None) == (at is None):
        raise InputError("give either flops, a budget, or at, a run's params and tokens")
    if fit is not None and not (isinstance(fit, LawFit) and _is_of_runs(fit.definition)):
        raise InputError(
            f"a sensitivity is of a law of the loss in params and tokens, not of {fit.law!r}: fit "
            "such a law by approach 3, or law='auto'"
        )
    if fit is None:
        options, rows = Options(bootstrap=0), usable_rows(load_table(table, SKALING, columns))
    else:
        options, rows = _options(fit), fitted_rows_of(fit, table, columns)
    if not rows.has_size_and_data:
        raise InputError("a sensitivity needs params, tokens and FLOPs of every row")
    answer = fit_average(rows, options) if fit is None else fit
    assert isinstance(answer, LawFit)
    run, budget = _target(answer, rows, flops, at)
    changes = Changes(rows, answer, options, run, budget)
    runs = changes.runs()
    return Sensitivity(
        at=run,
        flops=budget,
        cases=(*changes.cases(floors), *runs.cases),
        left_out=runs.count,
        run_law=changes.run_law.name,
        run_ranges=runs.ranges,
        level=answer.level,
        count=answer.count,
        unit=answer.unit,
    )


def fitted_rows_of(fit: Fit, table: Table, columns: Mapping[str, str] | None = None) -> Rows:
    """The usable rows of the table that was fitted.

    Raises:
        InputError: a table that cannot be read, or other records than those of the fit.
    """
    law = fit.definition if isinstance(fit, LawFit) else CHINCHILLA
    rows = usable_rows(load_table(table, law, columns), cast(Count, fit.count), law)
    if fit.provenance.get("records") != rows.fingerprint:
        raise InputError(
            "the fit is of other records than these: give the table, with its columns, that was "
            "fitted, or fit the table again"
        )
    return rows


def _is_of_runs(law: Law) -> bool:
    return reads_size_and_data(law) and set(law.variables) == {"params", "tokens"}


def _options(fit: Fit) -> Options:
    """The options of a fit, without its intervals."""
    stored: Mapping[str, Any] = fit.provenance.get("options") or {}
    kept = ("fixed", "within", "weight_by_compute", "level", "count")
    given = {name: stored[name] for name in kept if name in stored}
    prior = {name: tuple(pair) for name, pair in (stored.get("prior") or {}).items()}
    objective = stored.get("objective")
    if isinstance(objective, Mapping):
        raise InputError(
            f"the fit minimizes {objective.get('name')!r}, an objective of its own: fit with a "
            "named objective for a sensitivity"
        )
    return Options(**given, prior=prior, objective=objective, bootstrap=0)


def _target(
    answer: LawFit, rows: Rows, flops: float | None, at: Mapping[str, float] | None
) -> tuple[Mapping[str, float], float]:
    """The run asked about and its budget."""
    if at is None:
        assert flops is not None
        best = answer.optimal(flops)
        return {"params": best.params, "tokens": best.tokens}, float(flops)
    if set(at) != {"params", "tokens"}:
        raise InputError(f"a run has params and tokens, not {', '.join(at) or 'nothing'}")
    answer.predict(**at)
    return dict(at), float(rows.compute.of(at["params"], at["tokens"]))
