"""What can be known to be wrong with a study's runs, found before the first is trained."""

import os
import warnings
from collections.abc import Sequence

import jax

from scaling_jax.config import DataConfig, EvalSet, RunConfig
from scaling_jax.errors import InputError, InputWarning
from scaling_jax.mesh_spec import check_noise
from scaling_jax.study.execution.job import DEFAULT_JOB, LOCAL, Job
from scaling_jax.study.execution.packs import n_workers, pack_runs
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.text_needs import check_text
from scaling_jax.study.store.root import refuse_another_study, refuse_unwritable
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import SETTLED, StoredRun
from scaling_jax.study.store.trunks import lost_start
from scaling_jax.system.files import as_path
from scaling_jax.train import check_same_text, load_inputs, mesh_for
from scaling_jax.train.inputs import Inputs
from scaling_jax.train.mesh import chosen_here


def check_study(study: Study, root: os.PathLike | str, job: Job = DEFAULT_JOB) -> None:
    """Refuse `study` if it cannot be planned, stored or trained; nothing under `root` changes.

    The corpus is tokenized if it was not before.

    Raises:
        InputError: the first problem found.
    """
    planned = study.plan()
    base = as_path(root)
    refuse_another_study(base, study)
    refuse_unwritable(base)
    store = Store(base / study.name)
    check_runs([store.place(run) for run in planned], job)


def check_runs(runs: Sequence[StoredRun], job: Job) -> None:
    """Refuse runs whose batch, vocabulary, text or execution is impossible.

    The devices are checked only where this machine trains. Runs that are finished are not checked,
    except that the others must read the same text.

    Raises:
        InputError: the first problem found, or every problem with the text.
    """
    _check_devices(job)
    unsettled = [run for run in runs if run.state not in SETTLED]
    for run in unsettled:
        if (lost := lost_start(run)) is not None:
            raise InputError(lost)
    packs = pack_runs(unsettled, job) if job.is_local else []
    for pack in packs:
        config = pack[0].planned.config
        job.execution.resolved(config, jax.default_backend())
        execution = chosen_here(config, job.execution) if len(pack) == 1 else job.execution
        mesh = mesh_for(
            config.shape,
            config.smallest_batch,
            execution.mesh,
            accumulate=execution.microbatches,
            n_runs=len(pack),
        )
        # Worker processes have devices of their own.
        if n_workers(job, len(packs)) == 1:
            check_noise(mesh.shape, config.noise_scale)
    configs = [run.planned.config for run in unsettled]
    text = check_text(configs, job.cache_dir, progress=job.progress)
    text.refuse()
    for sentence in text.warnings:
        warnings.warn(sentence, InputWarning, stacklevel=2)
    fingerprints = {
        _text(config): _fingerprints(load_inputs(config, job.cache_dir, job.progress))
        for config in _most_demanding(configs)
    }
    for run in runs:
        read = _text(run.planned.config)
        if read in fingerprints:
            _check_fingerprint(run, *fingerprints[read])


def _check_devices(job: Job) -> None:
    """Refuse workers and executors that the processes and devices of this machine rule out."""
    joined = jax.process_count() > 1
    if joined and not job.is_local:
        raise InputError(f"executor {job.executor!r}: processes that train together use {LOCAL!r}")
    if not job.is_local or job.workers in (None, 1):
        return
    if joined:
        raise InputError(
            f"workers {job.workers}: processes that train together use one worker each"
        )
    if (platform := jax.default_backend()) != "cpu":
        raise InputError(
            f"workers {job.workers}: processes cannot share the {platform} devices; use one worker"
        )


def _most_demanding(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The longest of the runs that otherwise need the same of their text."""
    longest: dict[tuple, RunConfig] = {}
    for config in sorted(configs, key=lambda config: config.steps):
        shape = config.shape
        need = (shape.vocab_size, shape.seq_len, config.batch_size, config.eval_tokens)
        longest[(config.data, config.evals, config.start, config.noise_scale, *need)] = config
    return list(longest.values())


def _text(config: RunConfig) -> tuple[DataConfig, tuple[EvalSet, ...]]:
    return DataConfig(config.data.corpus, config.data.tokenizer), config.evals


def _fingerprints(inputs: Inputs) -> tuple[str, str]:
    """The fingerprint of the run's corpus, and those of all its texts."""
    return inputs.fingerprint, inputs.texts


def _check_fingerprint(run: StoredRun, fingerprint: str, texts: str) -> None:
    result = run.result
    if result is None:
        if (run.directory / "checkpoints").exists():
            check_same_text(run.directory, texts)
    elif result.data_fingerprint != fingerprint:
        raise InputError(
            f"{run.directory} was trained on text with fingerprint {result.data_fingerprint}, but "
            f"the corpus now has {fingerprint}: restore the corpus, or choose another root"
        )
