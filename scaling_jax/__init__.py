"""Scaling laws for language models in JAX: plan a study, train it, fit its laws, predict."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling_jax.answers import best_of as best_of
    from scaling_jax.answers import compare as compare
    from scaling_jax.answers import fit as fit
    from scaling_jax.answers import fit_by as fit_by
    from scaling_jax.answers import forecast as forecast
    from scaling_jax.answers import predict as predict
    from scaling_jax.answers import read_table as read_table
    from scaling_jax.answers import report as report
    from scaling_jax.answers import score as score
    from scaling_jax.answers import simulate as simulate
    from scaling_jax.architectures import own_module as own_module
    from scaling_jax.config import RunConfig as RunConfig
    from scaling_jax.config import Shape as Shape
    from scaling_jax.laws import Fit as Fit
    from scaling_jax.laws import critical_batch as critical_batch
    from scaling_jax.laws import largest_batch as largest_batch
    from scaling_jax.laws import minimum_compute as minimum_compute
    from scaling_jax.study import FixedModels as FixedModels
    from scaling_jax.study import IsoFlop as IsoFlop
    from scaling_jax.study import Recipe as Recipe
    from scaling_jax.study import Store as Store
    from scaling_jax.study import Study as Study
    from scaling_jax.study import branch_losses as branch_losses
    from scaling_jax.study import collect as collect
    from scaling_jax.study import curves as curves
    from scaling_jax.study import load_experiment as load_experiment
    from scaling_jax.study import noise_scale as noise_scale
    from scaling_jax.study import run_study as run  # noqa: F401 - under another name
    from scaling_jax.study import tune as tune
    from scaling_jax.trained import TrainedRun as TrainedRun
    from scaling_jax.trained import compare_runs as compare_runs
    from scaling_jax.trained import import_model as import_model
    from scaling_jax.trained import load_run as load_run

__version__ = "0.1.0"

# Where each name is defined, and under which name if it is another. Imported at first use, so that
# fitting a table of losses does not load the trainer.
_EXPORTS = {
    "Fit": "laws",
    "FixedModels": "study",
    "IsoFlop": "study",
    "Recipe": "study",
    "RunConfig": "config",
    "Shape": "config",
    "Store": "study",
    "Study": "study",
    "TrainedRun": "trained",
    "best_of": "answers",
    "branch_losses": "study",
    "collect": "study",
    "compare": "answers",
    "compare_runs": "trained",
    "critical_batch": "laws",
    "curves": "study",
    "fit": "answers",
    "fit_by": "answers",
    "forecast": "answers",
    "import_model": "trained",
    "largest_batch": "laws",
    "load_experiment": "study",
    "load_run": "trained",
    "minimum_compute": "laws",
    "noise_scale": "study",
    "own_module": "architectures",
    "predict": "answers",
    "read_table": "answers",
    "report": "report:",
    "run": "study:run_study",
    "score": "answers",
    "simulate": "answers",
    "tune": "study",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, colon, there = _EXPORTS[name].partition(":")
    if colon and not there:  # A package that can be called.
        return importlib.import_module(f"{__name__}.{module}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), there or name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_EXPORTS])
