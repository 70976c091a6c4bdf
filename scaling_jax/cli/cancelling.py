"""`cancel`: mark runs of a study as cancelled, or restore them."""

from typing import Annotated

import tyro

from scaling_jax.cli.arguments import StoreDirectory, optional
from scaling_jax.cli.output import remark
from scaling_jax.errors import InputError


def cancel(
    directory: StoreDirectory,
    run_ids: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN_ID", help="runs of the study, as in its records"),
    ],
    /,
    *,
    undo: Annotated[bool, optional("restore cancelled runs")] = False,
) -> None:
    """Cancel runs of a study: no process starts them, and a run that trains alone stops soon.

    Their checkpoints are kept; with --undo the next `scaling-jax run` continues from them.
    """
    from scaling_jax.study import Store

    if not run_ids:
        raise InputError("no run given: name those to cancel, as scaling-jax collect does")
    for run in Store.open(directory).runs_named(run_ids):
        try:
            run.restore() if undo else run.cancel()
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error.strerror or error}") from error
        remark(f"{run.run_id} {'restored' if undo else 'cancelled'}")
