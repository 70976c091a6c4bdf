"""A study by the file that defines it or by its name, with settings changed."""

from collections.abc import Sequence
from pathlib import Path

from scaling_jax.errors import InputError
from scaling_jax.study.plan.experiment_files import Scale, find_experiment, load_experiment
from scaling_jax.study.plan.overrides import override
from scaling_jax.study.plan.study import Study


def load_study(path: str | Path, scale: Scale = "full", settings: Sequence[str] = ()) -> Study:
    """The study that `path` defines or names, with `settings` applied, such as `recipe.seed=1`.

    Raises:
        InputError: no such study, a module that does not run, or a setting that is refused.
    """
    try:
        return override(load_experiment(find_experiment(path), scale), settings)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"experiment {path} fails: {type(error).__name__}: {error}") from error
