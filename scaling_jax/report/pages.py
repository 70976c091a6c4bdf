"""The page of whatever holds runs: a study, a table, its groups, or several of them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax.errors import InputError, refuse_with
from scaling_jax.laws.tables.formats import is_table
from scaling_jax.report.build import build_report
from scaling_jax.report.compared import write_compared
from scaling_jax.report.grouped import write_grouped
from scaling_jax.report.live import LiveReport
from scaling_jax.report.of_table import table_report
from scaling_jax.report.page import write_report
from scaling_jax.study import Store, collect
from scaling_jax.study.status.watching import require_interval

if TYPE_CHECKING:
    from scaling_jax.report.content import ReportData


@dataclass(frozen=True)
class PageOptions:
    """What a page shows, and how a table is read.

    Attributes:
        flops: the budget whose optimum the page shows, by default ten times the largest.
        law: the law of approach 3.
        columns, unit: of a table, as `laws.fit` takes them.
        by: a column: instead, a fit of each of its values.
        every: seconds after which the page of a study is written again, until it has ended.
    """

    flops: float | None = None
    law: str = "chinchilla"
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    by: str | None = None
    every: float | None = None


def write_page_of(
    sources: Sequence[Any], out: Path, options: PageOptions = PageOptions()
) -> Mapping[int, str]:
    """Write the page of a study or a table, or the comparison of several, to `out`.

    Returns:
        Each approach without a fit, and the reason.

    Raises:
        InputError: a source without runs, options that do not belong together, or a page that
            cannot be written.
    """
    if not sources:
        raise InputError("nothing to report: name a study's directory or a table")
    if options.every is not None:
        require_interval(options.every)
    is_watched, has_target = options.every is not None, options.flops is not None
    read = {"--columns": bool(options.columns), "--unit": options.unit is not None}
    if len(sources) > 1:
        alone = {"--by": options.by is not None, "--flops": has_target, "--watch": is_watched}
        refuse_with("several studies are compared at the budgets of all", alone)
    elif _is_table(sources[0]):
        refuse_with("a table does not change", {"--watch": is_watched})
    else:
        refuse_with("a study's columns and unit are known", read)
    if options.by is not None:
        refuse_with("--by reports one fit of each", {"--flops": has_target, "--watch": is_watched})
    try:
        data = _written(sources, out, options)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    return {} if data is None else data.refused


def _written(sources: Sequence[Any], out: Path, options: PageOptions) -> "ReportData | None":
    source, law = sources[0], options.law
    table: dict[str, Any] = {"columns": options.columns or None, "unit": options.unit}
    if len(sources) > 1:
        write_compared(sources, out, law=law, **table)
        return None
    if options.by is not None:
        records = source if _is_table(source) else collect(source)
        write_grouped(records, options.by, out, law=law, **table)
        return None
    if _is_table(source):
        data = table_report(source, target_flops=options.flops, law=law, **table)
    else:
        store = source if isinstance(source, Store) else Store.open(source)
        if options.every is not None:
            live = LiveReport(store, out, every=options.every, target_flops=options.flops, law=law)
            live.keep_writing()
            return None
        data = build_report(store, target_flops=options.flops, law=law)
    write_report(data, out)
    return data


def _is_table(source: Any) -> bool:
    if isinstance(source, Store):
        return False
    if not isinstance(source, str | os.PathLike):
        return True
    # Unlike `Path.is_dir`, `isdir` is false for a name that the file system refuses.
    return is_table(os.fspath(source)) and not os.path.isdir(source)  # noqa: PTH112
