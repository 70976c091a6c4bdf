"""`collect` and `report`: a store as a table and as a page."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from scaling_jax.cli.arguments import StoreDirectory, check_output, optional, replacing
from scaling_jax.cli.output import remark
from scaling_jax.cli.status import require_interval
from scaling_jax.errors import InputError
from scaling_jax.system.environment import leave_accelerators

if TYPE_CHECKING:
    from scaling_jax.study import Store

TABLE_ENDINGS = (".csv", ".parquet")


def collect(
    directory: StoreDirectory,
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="a .csv or .parquet file to write")],
    curves: Annotated[
        bool, optional("write the training curves (for approach 1) instead of the runs")
    ] = False,
) -> None:
    """Write a study's runs as a table, one row per run, whatever became of it."""
    from scaling_jax import laws, study

    check_output(out, TABLE_ENDINGS)
    store = study.Store.open(directory)
    table = study.curves(store) if curves else study.collect(store)
    with replacing(out) as temporary:
        if out.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
    remark(f"wrote {len(table):,} rows to {out}")
    for sentence in [] if curves else laws.mixed_knobs(table):
        remark(f"warning: {sentence}")


def report(
    directory: StoreDirectory,
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="report.html", help="the page to write")],
    flops: Annotated[
        float | None,
        optional("the budget asked about (default: 10 times the largest)", "C"),
    ] = None,
    law: Annotated[
        str, tyro.conf.arg(metavar="NAME", help="the formula that approach 3 fits, as for fit")
    ] = "chinchilla",
    watch: Annotated[bool, optional("write it again until the study is over or Ctrl-C")] = False,
    every: Annotated[
        float, tyro.conf.arg(metavar="SECONDS", help="how often --watch writes it")
    ] = 15.0,
) -> None:
    """Write one self-contained page: the answer, the figures and every run.

    With --watch it is written again as a study under way goes on, and an open browser follows.
    """
    leave_accelerators()
    from scaling_jax.report import write_report
    from scaling_jax.report.build import build_report
    from scaling_jax.study import Store

    check_output(out, (".html",))
    if watch:
        require_interval(every)
        _keep_writing(Store.open(directory), out, every, flops, law)
        return
    data = build_report(Store.open(directory), target_flops=flops, law=law)
    try:
        write_report(data, out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    for approach, sentence in data.refused.items():
        remark(f"approach {approach} was not fitted: {sentence}")
    remark(f"wrote {out}")


def _keep_writing(store: "Store", out: Path, every: float, flops: float | None, law: str) -> None:
    from scaling_jax.report.live import LiveReport

    live = LiveReport(store, out, every=every, target_flops=flops, law=law)
    try:
        while live.update():
            time.sleep(every)
    except KeyboardInterrupt:
        live.end()
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    remark(f"wrote {out}")
