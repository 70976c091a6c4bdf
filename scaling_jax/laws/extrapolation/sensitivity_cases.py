"""One table and its fit with one thing changed at a time: form, floor, rows, weights, runs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.approaches.parametric import fit_law, law_optimum
from scaling_jax.laws.catalogue import SKALING, Law, law_named
from scaling_jax.laws.catalogue.find import AUTO
from scaling_jax.laws.diagnostics.influence import MOST_UNITS, units_of
from scaling_jax.laws.extrapolation.average import fit_average, restricted
from scaling_jax.laws.extrapolation.frontier_only import fit_frontier_only
from scaling_jax.laws.extrapolation.rays import fit_rays
from scaling_jax.laws.extrapolation.row_weights import weighted_rows
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.optimum import refit
from scaling_jax.laws.tables.select import Rows, repeats_runs

Kind = Literal["answer", "form", "floor", "budgets", "window", "weights", "run"]

NAMED = ("chinchilla", "skaling", "kaplan-floor")
# The runs whose removal moves the answer most, of which the table has so many.
_MOST_RUNS = 5
_LEAST_BUDGETS = 3
_WINDOWS, _POWERS = (0.05, 0.02), (0.5, 1.0)
# A floor of this share of the lowest loss changes no digit of a prediction.
_NO_FLOOR = 1e-12


@dataclass(frozen=True)
class Case:
    """The answer with one thing changed.

    Attributes:
        kind: what is changed: the form, the floor, the budgets, the window about the frontier, the
            weights, or a run that is left out; `answer` where nothing is.
        name: the change in words.
        loss: of the run asked about; None where there is none.
        params: N_opt at the budget of that run; None where there is none.
        loss_interval, params_interval: of the fit, where it has intervals.
        reason: why a number is missing; empty where none is.
    """

    kind: Kind
    name: str
    loss: float | None = None
    params: float | None = None
    loss_interval: Interval | None = None
    params_interval: Interval | None = None
    reason: str = ""


@dataclass(frozen=True)
class RunsLeftOut:
    """The answer without each run.

    Attributes:
        count: how many runs were left out one at a time; 0 where none was.
        ranges: the least and the greatest `loss` and `params` over these.
        cases: the runs that move the loss most, or the reason why there are none.
    """

    count: int
    ranges: Mapping[str, Interval]
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Changes:
    """One table and its fit, which cases change.

    Attributes:
        rows: usable rows of the table.
        answer: the fit.
        options: of the fit, without a bootstrap.
        at: params and tokens of the run asked about.
        flops: the budget asked about.
    """

    rows: Rows
    answer: LawFit
    options: Options
    at: Mapping[str, float]
    flops: float

    @property
    def law(self) -> Law | None:
        """The fitted law; None for an average."""
        return None if self.answer.members else self.answer.definition

    @property
    def run_law(self) -> Law:
        """The law that is fitted without a run."""
        return self.law or SKALING

    def cases(self, floors: Iterable[float]) -> tuple[Case, ...]:
        """The answer, and every change but the runs that are left out."""
        name = f"{AUTO}, the average" if self.law is None else self.law.name
        first = self._case("answer", f"{name} (the fit)", lambda: self.answer)
        return (
            first,
            *self._forms(),
            *self._floors(floors, first),
            *self._budgets(),
            *self._windows_and_weights(),
        )

    def _forms(self) -> list[Case]:
        average = self.answer
        found = []
        if self.law is not None:
            average = self._fit(self.rows, None, self.options)
            found.append(self._case("form", f"{AUTO}, the average", lambda: average))
        for name in NAMED:
            if self.law is None or name != self.law.name:
                made = partial(self._fit, self.rows, law_named(name), self.options)
                found.append(self._case("form", name, made))
        without_floor = partial(restricted, average, "floorless")
        found.append(self._case("form", "floorless", without_floor))
        return [*found, self._frontier_alone(), self._ray()]

    def _frontier_alone(self) -> Case:
        name = "the frontier alone"
        try:
            frontier = fit_frontier_only(self.rows, floor=self.options.fixed.get("E"))
            loss = float(frontier.predict(**self.at))
        except InputError as error:
            return Case("form", name, reason=str(error))
        return Case("form", name, loss, float(frontier.optimal_params(self.flops)))

    def _ray(self) -> Case:
        name = f"the ray of {self.at['tokens'] / self.at['params']:.3g} tokens per parameter"
        try:
            rays = fit_rays(self.rows, floor=self.options.fixed.get("E"))
            loss = float(rays.predict(**self.at))
        except InputError as error:
            return Case("form", name, reason=str(error))
        return Case("form", name, loss, reason="a ray has no N_opt")

    def _floors(self, floors: Iterable[float], first: Case) -> list[Case]:
        fixed = {name: value for name, value in self.options.fixed.items() if name != "E"}
        free = replace(self.options, fixed=fixed)
        found = [replace(first, kind="floor", name="E fitted")]
        if fixed != self.options.fixed:
            found = [self._changed("floor", "E fitted", free)]
        for floor in (0.0, *floors):
            held = replace(self.options, fixed={**fixed, "E": self._held(floor)})
            found.append(self._changed("floor", f"E = {floor:g}", held))
        return found

    def _held(self, floor: float) -> float:
        """The floor as a fit takes it: the solver of one law has its logarithm."""
        return floor or (0.0 if self.law is None else _NO_FLOOR * float(self.rows.loss.min()))

    def _budgets(self) -> list[Case]:
        budgets = np.unique([] if self.rows.budget is None else self.rows.budget)
        if len(budgets) < _LEAST_BUDGETS:
            name = "without the smallest or the largest budget"
            reason = f"the table has {len(budgets)} budgets, and {_LEAST_BUDGETS} are needed"
            return [Case("budgets", name, reason=reason)]
        found = []
        for which, end in (("smallest", budgets[0]), ("largest", budgets[-1])):
            rest = self.rows.only(self.rows.budget != end, f"of the {which} budget")
            name = f"without the {which} budget, {end:.3g} FLOPs"
            made = partial(self._fit, rest, self.law, self.options)
            found.append(self._case("budgets", name, made))
        return found

    def _windows_and_weights(self) -> list[Case]:
        return [
            *(
                self._changed(
                    "window",
                    f"rows within {100 * share:g} % of the frontier",
                    replace(self.options, within=share),
                )
                for share in _WINDOWS
            ),
            *(
                self._changed(
                    "weights",
                    f"weights C^{power:g}",
                    replace(self.options, weight_by_compute=power),
                )
                for power in _POWERS
            ),
        ]

    def _changed(self, kind: Kind, name: str, options: Options) -> Case:
        """The fit with other options."""
        return self._case(kind, name, partial(self._fit, self.rows, self.law, options))

    def runs(self) -> RunsLeftOut:
        """The answer without each run, by the fitted law or, of an average, by `skaling`.

        All refits are one batch of descents from the optimum (case deletion, Cook 1977,
        Technometrics 19, 15).
        """
        law = self.run_law
        name = f"{law.name} without each run"
        try:
            rows = weighted_rows(self.rows, self.options)
            labels, unit_N = units_of(rows, repeats_runs(rows))
            if len(labels) > MOST_UNITS:
                reason = f"refits without each of {len(labels)} runs would take minutes"
                return RunsLeftOut(0, {}, (Case("run", name, reason=reason),))
            point = law_optimum(rows, law, self.options)
        except InputError as error:
            return RunsLeftOut(0, {}, (Case("run", name, reason=str(error)),))
        kept_UxN = unit_N != np.arange(len(labels))[:, None]
        left_out_UxP = refit(
            law,
            rows.variables,
            point,
            np.broadcast_to(rows.loss, kept_UxN.shape),
            rows.weight * kept_UxN,
            objective=objective_named(self.options.objective or law.default_objective),
        )
        loss_U = law.value(left_out_UxP, self.at)
        params_U = np.full(len(labels), np.nan)
        if law.frontier is not None:
            params_U = allocation.form_frontier(law, left_out_UxP, self.flops, rows.compute).params
        moved_U = np.abs(np.log(loss_U / float(law.value(point.constants_P, self.at))))
        cases = tuple(
            Case("run", f"{law.name} without {labels[u]}", _known(loss_U[u]), _known(params_U[u]))
            for u in np.argsort(-moved_U, kind="stable")[:_MOST_RUNS]
        )
        answers = {"loss": loss_U, "params": params_U}
        ranges = {n: _range(x_U) for n, x_U in answers.items() if np.isfinite(x_U).any()}
        return RunsLeftOut(len(labels), ranges, cases)

    def _fit(self, rows: Rows, law: Law | None, options: Options) -> LawFit:
        """The law, or the average of forms, fitted without intervals."""
        if law is None:
            return fit_average(rows, options)
        rows = weighted_rows(rows, options)
        return fit_law(rows, law, law_optimum(rows, law, options), options)

    def _case(self, kind: Kind, name: str, made: Callable[[], LawFit]) -> Case:
        try:
            found = made()
            loss = found.predict(**self.at)
        except InputError as error:
            return Case(kind, name, reason=str(error))
        case = Case(kind, name, loss.value, loss_interval=loss.law_interval)
        try:
            best = found.optimal(self.flops)
        except InputError as error:
            return replace(case, reason=str(error))
        return replace(case, params=best.params, params_interval=best.params_interval)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _range(values_U: np.ndarray) -> Interval:
    known = values_U[np.isfinite(values_U)]
    return float(known.min()), float(known.max())
