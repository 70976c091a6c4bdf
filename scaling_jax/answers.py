"""The functions of `laws` for what holds runs: a study's directory or store, or a table.

Belongs here: functions that read a study and answer by a law, a prediction or a page. What they
compute stands in `laws`, `study` and `report`.
"""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from scaling_jax import laws
from scaling_jax.errors import InputError, InputWarning
from scaling_jax.laws.data_limit import optimum_note, run_note
from scaling_jax.laws.tables.formats import is_table

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws.forecasts.score import Score
    from scaling_jax.laws.planning.simulate import Simulation
    from scaling_jax.laws.tables.read import Table
    from scaling_jax.study import Store, Study

    Runs = Table | Store

P = ParamSpec("P")
T = TypeVar("T")


def _of_runs(
    function: "Callable[Concatenate[Table, P], T]",
    reads_curves: Callable[[Mapping[str, Any]], bool] = lambda options: False,
) -> "Callable[Concatenate[Runs, P], T]":
    """`function`, which takes a study's directory or its store where it takes a table.

    Where it reads training curves, it gets those of the study.
    """

    @wraps(function)
    def answer(runs: "Runs", *args: P.args, **options: P.kwargs) -> T:
        if reads_curves(options) and options.get("training_curves") is None and _is_study(runs):
            from scaling_jax.study import curves

            options["training_curves"] = curves(runs)  # type: ignore[arg-type]
        return function(_records(runs), *args, **options)

    return answer


fit = _of_runs(laws.fit, lambda options: options.get("approach") == 1)
compare = _of_runs(laws.compare, lambda options: True)
best_of = _of_runs(laws.best_of)
fit_by = _of_runs(laws.fit_by)


def forecast(fit: laws.Fit, runs: Any, *, only_beyond: bool = False) -> laws.Forecast:
    """Freeze what a fit predicts of runs beyond its data, with the interval of each run.

    Args:
        fit: a law with intervals.
        runs: as `laws.forecast` takes them; or a study, of whose plan all runs beyond the data are
            forecast, or a list with studies in it.
        only_beyond: leave runs inside the fitted data out instead of refusing them.

    Raises:
        InputError: as `laws.forecast`.
    """
    given = runs if isinstance(runs, list | tuple) else [runs]
    if not any(map(_is_plan, given)):
        return laws.forecast(fit, runs, only_beyond=only_beyond)
    from scaling_jax.study.store.forecasts import forecast_runs

    return forecast_runs(fit, given)


@wraps(laws.score)
def score(forecast: laws.Forecast, records: "Runs", **options: Any) -> "Score":
    """`laws.score`, of a study's directory or store too."""
    return laws.score(forecast, _records(records), **options)


def read_table(path: "os.PathLike[str] | str | Store", **options: Any) -> "pd.DataFrame":
    """The runs of a study's directory or store, or a file's table as `laws.read_table` reads it.

    Raises:
        InputError: as `laws.read_table`; a directory that holds no study.
    """
    if _is_study(path):
        return _records(path)
    return laws.read_table(path, **options)  # type: ignore[arg-type]


def predict(
    source: "Runs | laws.Fit",
    *,
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    columns: Mapping[str, str] | None = None,
) -> "laws.Optimum | laws.Prediction":
    """The optimum of a budget, or the loss of a run, with intervals.

    A table or a study is fitted first by `auto`, the average of forms of the law. An
    `InputWarning` says where the answer reads more unique tokens than the runs' text has.

    >>> import numpy as np
    >>> import scaling_jax as sj
    >>> table = {"params": [1e7, 3e7, 1e8, 3e8], "tokens": [1e9] * 4, "loss": [4.1, 3.7, 3.4, 3.2]}
    >>> sj.predict(table, params=1e9)
    Traceback (most recent call last):
    ...
    scaling_jax.errors.InputError: give flops, or params and tokens of a run

    Args:
        source: a fit, the `.json` file of one, a table, or a study's directory or store.
        flops: the budget whose optimum is wanted.
        params, tokens: instead, the run whose loss is wanted.
        columns: our name -> the table's.

    Raises:
        InputError: a source that cannot be read or fitted, or neither a budget nor a run.
    """
    wanted = {"flops": flops, "params": params, "tokens": tokens}
    given = [name for name, value in wanted.items() if value is not None]
    if given not in (["flops"], ["params", "tokens"]):
        raise InputError("give flops, or params and tokens of a run")
    fitted = source if isinstance(source, laws.Fit) else _fitted(source, columns)
    if flops is not None:
        best = fitted.optimal(flops)
        _warn_of(optimum_note(fitted, flops, best.tokens))
        return best
    assert params is not None
    assert tokens is not None
    _warn_of(run_note(fitted, tokens))
    return fitted.predict(params=params, tokens=tokens)


def simulate(
    study: "Study | pd.DataFrame",
    law: "str | laws.Fit",
    *,
    noise: float = 0.003,
    outliers: float = 0.0,
    **options: Any,
) -> "Simulation":
    """What a planned study would find out if losses followed a known law.

    Args:
        study: a study, or its cells: columns `params`, `tokens` and where known `flops`, `budget`.
        law: `chinchilla-hoffmann`, `chinchilla-besiroglu`, a fit, or the `.json` file of one.
        noise: standard deviation of a run's log loss.
        outliers: share of runs whose loss is 5 percent too high.
        options: as `laws.planning.simulate.simulate_study` takes them.

    Raises:
        InputError: an unknown law, or cells that it cannot be simulated on.
    """
    from scaling_jax.laws.planning.known import law_at, law_of
    from scaling_jax.laws.planning.noise import Noise
    from scaling_jax.laws.planning.simulate import simulate_study
    from scaling_jax.study import Study
    from scaling_jax.study.status import plan_records

    cells = plan_records(study) if isinstance(study, Study) else study
    known = law_of(law) if isinstance(law, laws.Fit) else law_at(law)
    return simulate_study(cells, known, noise=Noise(noise, outliers=outliers), **options)


def report(
    source: "Runs | Sequence[Runs]",
    out: "os.PathLike[str] | str",
    *,
    flops: float | None = None,
    law: str = "chinchilla",
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    by: str | None = None,
) -> Path:
    """Write one self-contained page with the answer, the figures and every run; return its path.

    Args:
        source: a study's directory or store, or a table; a list of several is compared with its
            first.
        out: the page, which ends in `.html`.
        flops: the budget whose optimum the page shows, by default ten times the largest.
        law: the law of approach 3.
        columns, unit: of a table, as `fit` takes them.
        by: a column: instead, a fit of each of its values.

    Raises:
        InputError: a source without runs, or a page that cannot be written.
    """
    from scaling_jax.report.pages import PageOptions, write_page_of
    from scaling_jax.system.outputs import check_output

    check_output(Path(out), (".html",))
    several = isinstance(source, list | tuple)
    options = PageOptions(flops, law, columns or {}, unit, by)
    write_page_of(source if several else [source], Path(out), options)  # type: ignore[arg-type]
    return Path(out)


def _warn_of(note: laws.Note | None) -> None:
    if note is not None:
        warnings.warn(note, InputWarning, stacklevel=3)


def _fitted(source: "Runs", columns: Mapping[str, str] | None) -> laws.Fit:
    is_file = isinstance(source, str | os.PathLike) and not _is_study(source)
    if is_file and os.fspath(source).endswith(".json"):  # type: ignore[arg-type]
        return laws.Fit.read(source)  # type: ignore[arg-type]
    return fit(source, law="auto", columns=columns)


def _records(runs: "Runs") -> Any:
    """The table of a study; anything else unchanged."""
    if not _is_study(runs):
        return runs
    from scaling_jax.study import collect

    return collect(runs)  # type: ignore[arg-type]


def _is_plan(runs: object) -> bool:
    return type(runs).__name__ == "Study" and hasattr(runs, "plan")


def _is_study(runs: object) -> bool:
    """Whether it is a store or the path of a directory; a file is a table."""
    if isinstance(runs, str | os.PathLike):
        path = os.fspath(runs)
        # Unlike `Path.is_dir`, `isdir` is false for a name that the file system refuses.
        return os.path.isdir(path) or ("://" in path and not is_table(path))  # noqa: PTH112
    return type(runs).__name__ == "Store" and hasattr(runs, "directory")
