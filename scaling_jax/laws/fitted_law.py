"""Fits of any law to any columns: forms, functions of one's own, responses other than the loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.allocation import Interval, interval
from scaling_jax.laws.catalogue import POWER_SUMS, PowerSum
from scaling_jax.laws.catalogue.from_function import law_from_function, require_works
from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.objectives import Objective, objective_named
from scaling_jax.laws.options import Options, Resampling
from scaling_jax.laws.solver.optimum import PointFit, optimum
from scaling_jax.laws.tables.columns import Columns, Table, columns_of
from scaling_jax.laws.uncertainty.bootstrap import noise_of_rows
from scaling_jax.laws.uncertainty.custom_draws import draws, require_known_rows
from scaling_jax.laws.uncertainty.noise_scale import summary

_SCATTERS_PER_DRAW = 16


@dataclass(frozen=True)
class Response:
    """What a fitted law predicts.

    Attributes:
        value: in the unit of the law's response.
        law_interval: where the law itself lies; None without a bootstrap.
        interval: where one run's measurement lies: the law's interval and a run's scatter.
        outside: variables that lie outside the range of the fitted rows.
    """

    value: float
    law_interval: Interval | None
    interval: Interval | None
    outside: tuple[str, ...]


@dataclass(frozen=True)
class CustomFit:
    """A fitted law of any kind.

    Attributes:
        form: the law.
        params: its constants, those held among them.
        level: of every interval.
        objective: name, space, delta, above, reduction and value of what was minimized, with the
            norm of its gradient, the condition number of its Hessian and the number of distinct
            optima that the descents ended in, and the noise it leaves (as `laws.summary` has it).
        n_points, n_dropped: rows fitted and left out.
        ranges: variable -> least and most value fitted.
        draws_BxP: bootstrap constants, in the order of `params`; None without a bootstrap.
        noise_N: scatter of single rows about the law, as log residuals or, where residuals are
            not in logs, in the response's unit.
        is_logged: which of the two it is.
    """

    form: PowerSum | FunctionLaw
    params: Mapping[str, float]
    level: float
    objective: Mapping[str, Any]
    n_points: int
    n_dropped: int
    ranges: Mapping[str, tuple[float, float]]
    draws_BxP: np.ndarray | None
    noise_N: np.ndarray
    is_logged: bool

    @property
    def intervals(self) -> dict[str, Interval] | None:
        """Interval of every constant, or None without a bootstrap."""
        if self.draws_BxP is None:
            return None
        columns = zip(self.params, self.draws_BxP.T, strict=True)
        return {name: interval(drawn_B, self.level) for name, drawn_B in columns}

    def predict(self, **variables: float) -> Response:
        """The response at the given variables, such as `predict(params=1e9, tokens=2e10)`.

        Raises:
            InputError: a variable missing, unknown, not finite, or not positive where it must be.
        """
        values = self._checked(variables)
        law_B = None if self.draws_BxP is None else self.form.value(self.draws_BxP, values)
        return Response(
            value=float(self.form.value(self.form.ordered(self.params), values)),
            law_interval=None if law_B is None else interval(law_B, self.level),
            interval=None if law_B is None else interval(self.scattered(law_B).ravel(), self.level),
            outside=tuple(
                name
                for name, (least, most) in self.ranges.items()
                if not least <= values[name] <= most
            ),
        )

    def scattered(self, law_B: np.ndarray) -> np.ndarray:
        """Every draw `BxS` of the law with several rows' scatter, the same at every call."""
        rng = np.random.default_rng(0)
        noise_BxS = rng.choice(self.noise_N, size=(len(law_B), _SCATTERS_PER_DRAW))
        return law_B[:, None] * np.exp(noise_BxS) if self.is_logged else law_B[:, None] + noise_BxS

    def _checked(self, variables: Mapping[str, float]) -> Mapping[str, float]:
        wanted = self.form.variables
        for name in variables:
            if name not in wanted:
                raise InputError(
                    f"the law {self.form.name!r} has no variable {name!r}{suggestion(name, wanted)}"
                )
        signed = self.form.signed if isinstance(self.form, FunctionLaw) else ()
        for name in wanted:
            if name not in variables:
                raise InputError(f"the law {self.form.name!r} needs {name!r} to predict")
            if not np.isfinite(variables[name]) or (name not in signed and variables[name] <= 0):
                sign = "" if name in signed else "positive and "
                raise InputError(f"{name} {variables[name]} must be {sign}finite")
        return variables


def fit_custom(
    form: PowerSum | FunctionLaw | str | Callable[..., Any],
    table: Table,
    *,
    objective: str | Objective | None = None,
    bootstrap: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    resampling: Resampling = "residuals",
    fixed: Mapping[str, float] | None = None,
) -> CustomFit:
    """Fit any law to the columns it reads, at the global optimum, with bootstrap intervals.

    >>> import jax.numpy as jnp
    >>> from scaling_jax import laws
    >>> def decaying(epochs, *, E=(0.5, 5), A=(0.1, 10), k=(0.01, 10)):
    ...     return E + A * jnp.exp(-k * epochs)
    >>> table = {"epochs": [1, 2, 3, 4, 6, 8], "loss": [3.8, 3.08, 2.65, 2.39, 2.14, 2.05]}
    >>> fit = laws.fit_custom(decaying, table, bootstrap=0)
    >>> round(fit.predict(epochs=5).value, 1)
    2.2

    Args:
        form: a function as `law_from_function` takes it, a form, or the name of a published one
            (`laws.POWER_SUMS`, `laws.FUNCTIONS`).
        table: a frame, columns by name, or a .csv or .parquet file; the law's variables and
            response are read from it, and `weight` where there is one.
        objective: a name or an `Objective`; by default `huber` on logs, and `squares` for a
            response that may be zero or negative.
        bootstrap: resamples behind the intervals; 0 fits the point alone.
        level: of the intervals.
        seed: of the resamples.
        resampling: `residuals` of the fit, or `rows` with replacement, as in `fit`.
        fixed: constants to hold at given values.

    Raises:
        InputError: an unknown law, column, objective or constant, cells that are not numbers as
            the law needs them, too few rows, or a function that does not give one finite number
            per row.
    """
    options = Options(bootstrap, level, "total", seed, resampling)
    require_known_rows(options)
    form = _law_of(form)
    if objective is None:
        objective = form.default_objective if isinstance(form, FunctionLaw) else "huber"
    objective = objective_named(objective) if isinstance(objective, str) else objective
    columns = columns_of(form, table)
    _require_enough(form, columns, fixed or {})
    if isinstance(form, FunctionLaw):
        require_works(form, columns.values)
    point = _point(form, columns, objective, fixed)
    noise_N = noise_of_rows(point, objective)
    return CustomFit(
        form=form,
        params=dict(zip(form.names, point.constants_P.tolist(), strict=True)),
        level=level,
        objective=summary(objective, point, columns.weights_N),
        n_points=len(columns.response_N),
        n_dropped=columns.n_dropped,
        ranges={n: (float(v.min()), float(v.max())) for n, v in columns.values.items()},
        draws_BxP=draws(form, columns, point, noise_N, objective, options),
        noise_N=noise_N,
        is_logged=isinstance(form, PowerSum) or form.is_logged(objective),
    )


def _law_of(given: PowerSum | FunctionLaw | str | Callable[..., Any]) -> PowerSum | FunctionLaw:
    from scaling_jax.laws.catalogue.functions import FUNCTIONS

    if isinstance(given, PowerSum | FunctionLaw):
        return given
    if not isinstance(given, str):
        return law_from_function(given)
    known: dict[str, PowerSum | FunctionLaw] = {**POWER_SUMS, **FUNCTIONS}
    if given not in known:
        raise InputError(f"unknown law {given!r}{suggestion(given, list(known))}")
    return known[given]


def _require_enough(
    form: PowerSum | FunctionLaw, columns: Columns, fixed: Mapping[str, float]
) -> None:
    distinct = len(np.unique(np.stack(list(columns.values.values())), axis=1).T)
    held = {*fixed, *(form.held if isinstance(form, PowerSum) else ())}
    n_free = len(set(form.names) - held)
    if distinct <= n_free:
        raise InputError(
            f"{distinct} distinct rows cannot determine {n_free} constants of {form.name!r}: give "
            f"at least {n_free + 1}, or hold some constants with `fixed`"
        )


def _point(
    form: PowerSum | FunctionLaw,
    columns: Columns,
    objective: Objective,
    fixed: Mapping[str, float] | None,
) -> PointFit:
    rows = columns.values, columns.response_N, columns.weights_N
    if isinstance(form, PowerSum):
        return optimum(form, *rows, objective=objective, fixed=fixed)
    from scaling_jax.laws.solver.autodiff import fit_function

    return fit_function(form, *rows, objective=objective, fixed=fixed)
