"""Scaling laws for language models in JAX: plan a study, train it, fit its laws, predict."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling_jax.config import RunConfig as RunConfig
    from scaling_jax.config import Shape as Shape
    from scaling_jax.laws import Fit as Fit
    from scaling_jax.laws import best_of as best_of
    from scaling_jax.laws import compare as compare
    from scaling_jax.laws import fit as fit
    from scaling_jax.laws import forecast as forecast
    from scaling_jax.laws import read_table as read_table
    from scaling_jax.laws import score as score
    from scaling_jax.study import FixedModels as FixedModels
    from scaling_jax.study import IsoFlop as IsoFlop
    from scaling_jax.study import Recipe as Recipe
    from scaling_jax.study import Study as Study
    from scaling_jax.trained import TrainedRun as TrainedRun
    from scaling_jax.trained import load_run as load_run

__version__ = "0.1.0"

# Imported at first use, so that fitting a table of losses does not load the trainer.
_EXPORTS = {
    "Fit": "laws",
    "FixedModels": "study",
    "IsoFlop": "study",
    "Recipe": "study",
    "RunConfig": "config",
    "Shape": "config",
    "Study": "study",
    "TrainedRun": "trained",
    "best_of": "laws",
    "compare": "laws",
    "fit": "laws",
    "forecast": "laws",
    "load_run": "trained",
    "read_table": "laws",
    "score": "laws",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_EXPORTS])
