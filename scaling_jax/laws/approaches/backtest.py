"""Laws compared by prediction: each is fitted below a cutoff in compute and tested above it.

Rolling the cutoff up through the data is the evaluation on a rolling origin of forecasting (Tashman
2000, International Journal of Forecasting 16, 437); a random split would test interpolation only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import PowerSum, power_sum_named
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.convergence import require_converged
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.tables.select import Rows

# Below a cutoff there are at least so many rows per constant, above it at least one budget.
ROWS_PER_CONSTANT = 2
_MOST_CUTOFFS = 4


@dataclass(frozen=True)
class Backtest:
    """How a law, fitted below each cutoff, predicted the runs above it.

    Attributes:
        law: its name.
        cutoffs: largest FLOPs that were fitted.
        errors: log measured over predicted, of every run above every cutoff.
    """

    law: str
    cutoffs: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def rms(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(np.square(self.errors))))

    @property
    def bias(self) -> float:
        """Mean error: positive where losses came out above their predictions."""
        return float(np.mean(self.errors))


def backtest(rows: Rows, laws: Sequence[str], options: Options) -> tuple[Backtest, ...]:
    """Every law's errors on the same held-out runs, the best law first.

    The cutoff rolls up through the budgets (or, without budgets, through log-spaced FLOPs); a
    law is fitted to the runs at or below the cutoff and predicts all runs above it.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.options import Options
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> n, d = np.repeat(np.geomspace(1e6, 1e9, 6), 6), np.tile(np.geomspace(1e8, 1e10, 6), 6)
    >>> loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    >>> table = pd.DataFrame({"params": n, "tokens": d, "loss": loss})
    >>> options = Options(bootstrap=0, level=0.9, count="total", seed=0, resampling="rows")
    >>> tests = laws.backtest(usable_rows(table), ["kaplan", "chinchilla"], options)
    >>> tests[0].law, tests[0].rms < 1e-4
    ('chinchilla', True)

    Args:
        rows: the usable rows of a table.
        laws: names of the laws.
        options: of the fits, of which the objective is used.

    Raises:
        InputError: an unknown law, too few runs below or above every cutoff, or a fit below one
            that does not converge.
    """
    forms = [power_sum_named(name) for name in laws]
    need = ROWS_PER_CONSTANT * max(len(form.names) for form in forms)
    cutoffs = _cutoffs(rows, need)
    if not cutoffs:
        raise InputError(
            f"{len(rows)} runs leave no cutoff in compute with {need} runs below it and a budget "
            "above it: name a law, or add runs at more budgets"
        )
    tests = [_test(form, rows, cutoffs, options) for form in forms]
    return tuple(sorted(tests, key=lambda test: test.rms))


def _cutoffs(rows: Rows, need: int) -> tuple[float, ...]:
    if rows.budget is not None:
        candidates = np.unique(rows.budget)[:-1]
        below = [int((rows.budget <= c).sum()) for c in candidates]
    else:
        low, high = np.quantile(rows.flops, [0.4, 0.85])
        candidates = np.geomspace(low, high, _MOST_CUTOFFS)
        below = [int((rows.flops <= c).sum()) for c in candidates]
    kept = [float(c) for c, n in zip(candidates, below, strict=True) if need <= n < len(rows)]
    return tuple(kept[-_MOST_CUTOFFS:])


def _test(form: PowerSum, rows: Rows, cutoffs: tuple[float, ...], options: Options) -> Backtest:
    size = rows.flops if rows.budget is None else rows.budget
    objective, errors = objective_named(options.objective or form.default_objective), []
    for cutoff in cutoffs:
        above = size > cutoff
        # Rows above the cutoff get weight 0 instead of being dropped: arrays keep their shape, and
        # every cutoff runs the same compiled program.
        fit = optimum(form, rows.variables, rows.loss, rows.weight * ~above, objective=objective)
        require_converged(form, fit, int((~above).sum()))
        errors += fit.residuals_N[above].tolist()
    return Backtest(form.name, cutoffs, tuple(errors))
