"""A study by the file that defines it or by its name, of a scale, with settings changed."""

from collections.abc import Sequence
from pathlib import Path

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.experiment_files import (
    SCALES,
    Scale,
    find_experiment,
    load_experiment,
    ships,
)
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


def names_study(text: str) -> bool:
    """Whether a text is an experiment's file or name, with a scale behind a colon or without.

    >>> names_study("mine.py:cpu"), names_study("chinchilla-isoflop"), names_study("params=1e9")
    (True, True, False)
    """
    path = text.partition(":")[0]
    return path.endswith(".py") or ships(path)


def load_study_named(text: str) -> Study:
    """The study of `FILE.py`, or of another scale as in `FILE.py:cpu`, likewise of a known name.

    Raises:
        InputError: as `load_study`, or an unknown scale.
    """
    path, _, name = text.partition(":")
    scales: dict[str, Scale] = {**{key: key for key in SCALES}, **{v: k for k, v in SCALES.items()}}
    if name and name not in scales:
        raise InputError(
            f"{text}: {name!r} is no scale of an experiment{suggestion(name, list(SCALES))}"
        )
    return load_study(path, scales.get(name, "full"))


def load_run(
    source: Path, run: str | None = None, scale: Scale = "full", settings: Sequence[str] = ()
) -> RunConfig:
    """The configuration of one run: of a CONFIG.json, or of the study that `source` defines.

    Args:
        source: a run's `config.json`, or as `load_study`.
        run: the beginning of the run's id in the study; by default the largest run.
        scale, settings: as `load_study`.

    Raises:
        InputError: as `load_study`, or a `run` that names none of the study's runs or several.
    """
    if source.suffix == ".json":
        if run is not None:
            raise InputError("--run chooses among a study's runs: leave it out with a CONFIG.json")
        return RunConfig.read(source)
    configs = [planned.config for planned in load_study(source, scale, settings).plan()]
    if run is None:
        return max(configs, key=lambda config: flops.count_params(config.shape).total)
    found = [config for config in configs if config.run_id.startswith(run)]
    if len(found) != 1:
        raise InputError(
            f"--run {run!r} names {len(found) or 'none'} of the study's {len(configs)} runs: "
            "scaling-jax plan --json lists their ids"
        )
    return found[0]
