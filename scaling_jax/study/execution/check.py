"""What can be known to go wrong with a study's runs, found before the first is trained."""

import os
from collections.abc import Sequence

import jax
from etils import epath

from scaling_jax.config import DataConfig, RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.study.execution.packs import packs
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.root import refuse_another_study, refuse_unwritable
from scaling_jax.study.store.store import (
    SETTLED,
    Store,
    StoredRun,
)
from scaling_jax.train import check_same_text, load_inputs, mesh_for


def check_study(
    study: Study,
    root: os.PathLike | str,
    *,
    pack: int | None = None,
    execution: Execution = DEFAULT,
    elsewhere: bool = False,
    cache_dir: os.PathLike | str | None = None,
    progress: bool = True,
) -> None:
    """Refuse `study` if it cannot be planned, stored or fed; nothing under `root` changes.

    The corpus is tokenized if it was not before. What depends on this machine's devices is not
    asked of runs that are trained `elsewhere`.

    Raises:
        InputError: the first thing found.
    """
    planned = study.plan()
    base = epath.Path(root)
    refuse_another_study(base, study)
    refuse_unwritable(base)
    store = Store(base / study.name)
    runs = [store.place(run) for run in planned]
    check_runs(
        runs,
        pack=pack,
        execution=execution,
        elsewhere=elsewhere,
        cache_dir=cache_dir,
        progress=progress,
    )


def check_runs(
    runs: Sequence[StoredRun],
    *,
    pack: int | None = None,
    execution: Execution = DEFAULT,
    elsewhere: bool = False,
    cache_dir: os.PathLike | str | None = None,
    progress: bool = True,
) -> None:
    """Refuse runs whose batch, vocabulary, texts or way of execution does not do.

    Runs that are over need nothing any more, but the others must read the same text.

    Raises:
        InputError: the first thing found.
    """
    waiting = [run for run in runs if run.state not in SETTLED]
    texts = {}
    for together in [] if elsewhere else packs(waiting, pack, execution):
        config = together[0].planned.config
        execution.resolved(config, jax.default_backend())
        mesh_for(
            config.shape,
            config.batch_size,
            execution.mesh,
            accumulate=execution.accumulate,
            n_runs=len(together),
        )
    for config in _most_demanding([run.planned.config for run in waiting]):
        texts[_text(config)] = load_inputs(config, cache_dir, progress).fingerprint
    for run in runs:
        text = _text(run.planned.config)
        if text in texts:
            _check_same_text(run, texts[text])


def _most_demanding(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The longest of the runs that need otherwise the same of their text."""
    longest: dict[tuple, RunConfig] = {}
    for config in sorted(configs, key=lambda config: config.steps):
        shape = config.shape
        need = (shape.vocab_size, shape.seq_len, config.batch_size, config.eval_tokens)
        longest[(config.data, *need)] = config
    return list(longest.values())


def _text(config: RunConfig) -> DataConfig:
    return DataConfig(config.data.corpus, config.data.tokenizer)


def _check_same_text(run: StoredRun, fingerprint: str) -> None:
    result = run.result
    if result is None:
        if (run.directory / "checkpoints").exists():
            check_same_text(run.directory, fingerprint)
    elif result.data_fingerprint != fingerprint:
        raise InputError(
            f"{run.directory} was trained on text with fingerprint {result.data_fingerprint}, but "
            f"the corpus now has {fingerprint}: restore the corpus, or choose another root"
        )
