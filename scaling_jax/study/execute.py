"""Training every unfinished run of a study on this machine, one at a time."""

import os
import sys
from collections.abc import Iterable

from rich.console import Console

from scaling_jax.errors import InputError
from scaling_jax.study.store import Store, StoredRun
from scaling_jax.study.study import Study
from scaling_jax.train import Preempted, train_run


def run_study(
    study: Study,
    root: os.PathLike | str,
    *,
    cache_dir: os.PathLike | str | None = None,
    progress: bool = True,
) -> Store:
    """Train what of `study` is not over yet and return its store.

    Safe to repeat, to interrupt and to start several times at once: a run is trained by one
    process at a time, continues where it stopped, and is never trained again once over. A run
    that fails for its own reasons is recorded and does not stop the others.

    Raises:
        InputError: bad input, found before anything is trained.
        Preempted: asked to stop; the current run is saved.
    """
    store = Store.create(root, study)
    train_runs(store.runs(), cache_dir=cache_dir, progress=progress)
    return store


def train_runs(
    runs: Iterable[StoredRun],
    *,
    cache_dir: os.PathLike | str | None = None,
    progress: bool = True,
) -> None:
    """Train each of `runs` that is not over, in the order given."""
    console = Console(file=sys.stderr, quiet=not progress)
    waiting = [run for run in runs if run.result is None]
    for number, run in enumerate(waiting, 1):
        console.print(f"[{number}/{len(waiting)}] {_label(run)}", highlight=False, markup=False)
        _train(run, cache_dir, progress, console)


def _train(
    run: StoredRun, cache_dir: os.PathLike | str | None, progress: bool, console: Console
) -> None:
    with run.lock() as mine:
        if not mine:
            console.print("  another process is training it")
            return
        try:
            result = train_run(
                run.planned.config, run.directory, cache_dir=cache_dir, progress=progress
            )
        except (InputError, Preempted):
            raise
        except Exception as error:
            run.fail(f"{type(error).__name__}: {error}")
            console.print(f"  failed: {error}", highlight=False, markup=False)
            return
        run.fail(None)
    loss = "diverged" if result.loss is None else f"loss {result.loss:.4f}"
    seconds = sum(result.seconds.values())
    console.print(f"  {loss}, {seconds:.1f} s", highlight=False, markup=False)


def _label(run: StoredRun) -> str:
    config = run.planned.config
    return (
        f"{run.run_id}  {config.shape.n_layers} layers, width {config.shape.d_model}, "
        f"{config.tokens:,} tokens, {run.planned.flops:.3g} FLOPs"
    )
