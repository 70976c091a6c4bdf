"""`status`, `collect` and `report`: the commands that read a study's directory."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import By, Columns, Json, StoreDirectory, Unit, optional
from scaling_jax.cli.output import on_terminal, print_json, print_paragraphs, remark
from scaling_jax.errors import InputError, refuse_with
from scaling_jax.formatting import plain_spaces
from scaling_jax.system.environment import leave_accelerators
from scaling_jax.system.outputs import check_output


def status(
    directory: StoreDirectory,
    /,
    *,
    law: Annotated[
        str,
        tyro.conf.arg(
            metavar="NAME", help="the law to fit to the finished runs, as for fit, or none"
        ),
    ] = "chinchilla",
    ends: Annotated[
        bool, optional("predict where runs at work will end, from the curves of finished runs")
    ] = False,
    price: Annotated[float | None, optional("price of a device-hour, in any currency", "P")] = None,
    watch: Annotated[bool, optional("keep the status on the screen until Ctrl-C")] = False,
    every: Annotated[
        float, tyro.conf.arg(metavar="SECONDS", help="how often --watch updates the screen")
    ] = 5.0,
    json: Json = False,
) -> None:
    """Show the progress of a study: runs, budgets, failures, time and money left, the law so far.

    Laws are fitted to finished runs only. The law is kept in the study's directory and fitted
    again when another run has finished.
    """
    leave_accelerators()
    from scaling_jax.study import Store
    from scaling_jax.study.status import (
        EndsSoFar,
        InterimLaw,
        StudyMonitor,
        status_data,
        status_text,
        watching,
    )
    from scaling_jax.study.status.run_cost import require_price
    from scaling_jax.study.status.standing_text import law_text

    require_price(price)
    if watch:
        refuse_with("--watch draws on a terminal", {"--json": json})
        watching.require_interval(every)
        if not on_terminal():
            raise InputError("--watch draws on a terminal, and there is none: leave it out")
    store = Store.open(directory)
    monitor, interim = StudyMonitor(store), InterimLaw.named(store, law)
    foresee = partial(EndsSoFar.of, store) if ends else lambda: None
    if watch:
        watching.watch(monitor, interim, price, every, foresee)
        return
    standing = monitor.look()
    if json:
        law_so_far = None if interim is None else interim.law(standing)
        print_json(status_data(standing, law_so_far, price, foresee()))
        return
    print_paragraphs(status_text(standing, None, price, foresee()))
    if interim is not None:
        # A new fit takes seconds, so everything else is printed first.
        print(flush=True)
        print(plain_spaces(law_text(standing, interim.law(standing))))


def collect(
    directory: StoreDirectory,
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="a .csv or .parquet file to write")],
    curves: Annotated[
        bool, optional("write the training curves (for approach 1) instead of the runs")
    ] = False,
    by: By = None,
    format: Annotated[
        Literal["wandb", "nanochat", "marin"] | None,
        optional("name the columns as this tool does: .csv, or for marin .jsonl", "TOOL"),
    ] = None,
) -> None:
    """Write a study's runs as a table, one row per run, finished or not.

    With --by, one row for each size and length, with the loss of each value in a column.
    """
    from scaling_jax import laws, study
    from scaling_jax.study.store.table_files import endings_of, write_table

    if curves or by is not None:
        option = "--curves" if curves else "--by"
        refuse_with(f"{option} has one format", {"--format": format is not None})
    check_output(out, endings_of(format))
    store = study.Store.open(directory)
    table = study.curves(store) if curves else study.collect(store)
    if by is not None:
        refuse_with("--by compares the ends of runs", {"--curves": curves})
        table = laws.side_by_side(table, by)
    write_table(table, out, format)
    remark(f"wrote {len(table):,} rows to {out}")
    for sentence in [] if curves or by else laws.mixed_knobs(table):
        remark(f"warning: {sentence}")


def report(
    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="DIR",
            help="a study's directory, a root that holds one study, or a table as fit takes it; "
            "several are compared with the first",
        ),
    ],
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="report.html", help="the page to write")],
    flops: Annotated[
        float | None,
        optional("the budget to report the optimum of (default: 10 times the largest)", "C"),
    ] = None,
    law: Annotated[
        str, tyro.conf.arg(metavar="NAME", help="the formula that approach 3 fits, as for fit")
    ] = "chinchilla",
    columns: Columns = None,
    unit: Unit = None,
    by: By = None,
    watch: Annotated[
        bool, optional("rewrite the page until the study has ended or Ctrl-C")
    ] = False,
    every: Annotated[
        float, tyro.conf.arg(metavar="SECONDS", help="how often --watch rewrites the page")
    ] = 15.0,
) -> None:
    """Write one self-contained page: the answer, the figures and every run of a study or a table.

    With --watch the page is rewritten while the study trains, and an open browser reloads it.
    """
    leave_accelerators()
    from scaling_jax.report.pages import PageOptions, write_page_of

    check_output(out, (".html",))
    mapping = named_values.names("--columns", columns)
    options = PageOptions(flops, law, mapping, unit, by, every if watch else None)
    for approach, sentence in write_page_of(sources, out, options).items():
        remark(f"approach {approach} was not fitted: {sentence}")
    remark(f"wrote {out}")
