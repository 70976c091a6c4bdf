"""The content of the page of a table of losses, without a study: all that needs no curves."""

import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import BEYOND, DRAWS, FLOPS_PER_PARAM_TOKEN
from scaling_jax.report.build import verify
from scaling_jax.report.content import ReportData

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from scaling_jax.laws.catalogue import Law
    from scaling_jax.laws.tables.read import Table


def table_report(
    table: "Table",
    *,
    target_flops: float | None = None,
    law: str = "chinchilla",
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    bootstrap: int = DRAWS,
    seed: int = 0,
) -> ReportData:
    """The content of the report on a table, with each of the approaches that its rows allow.

    Args:
        table: as `laws.fit` takes it; every row is a run.
        target_flops: as of `build_report`.
        law: the law of params and tokens that approach 3 fits.
        columns: our name -> the table's, as `laws.fit` takes it.
        unit: of the loss, as `laws.fit` takes it.
        bootstrap: number of resamples.
        seed: seed of the bootstrap.

    Raises:
        InputError: a table that cannot be read or that no approach can be fitted to, or a target
            that is not positive and finite.
    """
    from scaling_jax import laws
    from scaling_jax.laws.catalogue.find import law_or_default
    from scaling_jax.laws.tables.read import load_table

    given = _given(target_flops, columns, unit)
    if target_flops is not None and not 0 < target_flops < math.inf:
        raise InputError(f"the target of {target_flops} FLOPs must be positive and finite")
    form = law_or_default(law)
    if {*form.variables} != {"params", "tokens"} or form.response != "loss":
        raise InputError(
            f"the law {form.name!r} is of {form.response} in {', '.join(form.variables)}, but a "
            "report is of laws of the loss in params and tokens: use fit, or another law"
        )
    frame = load_table(table, form, columns)
    compared = laws.compare(frame, law=law, unit=unit, bootstrap=bootstrap, seed=seed)
    records = records_of(frame, form)
    verification = verify(records, compared.fits.get(3))
    if target_flops is None and verification is not None:
        target_flops = verification.flops
    named = os.fspath(table) if isinstance(table, str | os.PathLike) else ""
    return ReportData(
        title=Path(named).name or "Table of losses",
        records=records,
        curves=None,
        fits=compared.fits,
        target_flops=target_flops or BEYOND * float(records["flops"].max()),
        verification=verification,
        recipe={},
        commands=_commands(named, law, given) if named else (),
        provenance={},
        seconds={},
        refused=compared.refused,
    )


def records_of(frame: "pd.DataFrame", law: "Law") -> "pd.DataFrame":
    """The table with the columns that a report reads of every run."""
    import numpy as np

    from scaling_jax.laws.tables.check import reasons
    from scaling_jax.laws.tables.select import usable_rows
    from scaling_jax.laws.tables.words import FINISHED, VERIFICATION, roles, texts, where

    reason_N, rows = reasons(frame), usable_rows(frame, law=law)
    used_N = reason_N == ""
    labels = np.array([where(frame, row) for row in range(len(frame))], object)
    ids = texts(frame["run_id"]) if "run_id" in frame else labels
    six_n_d = FLOPS_PER_PARAM_TOKEN * frame["params"] * frame["tokens"]
    return frame.assign(
        run_id=np.where(ids == "", labels, ids),
        role=np.where(roles(frame) == VERIFICATION, VERIFICATION, "grid"),
        status=np.where(used_N | (reason_N == VERIFICATION), FINISHED, reason_N),
        flops=_placed(used_N, rows.flops, frame.get("flops", six_n_d).fillna(six_n_d)),
        budget=_placed(used_N, rows.budget, np.nan),
    )


def _placed(
    used_N: "np.ndarray", value_M: "np.ndarray | None", others: "pd.Series | float"
) -> "np.ndarray":
    """A column that has the values of the used rows there, and others elsewhere."""
    import numpy as np

    column_N = np.array(np.broadcast_to(np.asarray(others, np.float64), used_N.shape))
    if value_M is not None:
        column_N[used_N] = value_M
    return column_N


def _given(
    target_flops: float | None, columns: Mapping[str, str] | None, unit: str | None
) -> list[str]:
    """Words of a command that set these options."""
    words = [] if target_flops is None else ["--flops", f"{target_flops:.12g}"]
    pairs = ",".join(f"{ours}={theirs}" for ours, theirs in (columns or {}).items())
    words += ["--columns", pairs] if pairs else []
    return words + (["--unit", unit] if unit is not None else [])


def _commands(path: str, law: str, given: list[str]) -> tuple[str, ...]:
    words = ["scaling-jax", "report", path, "--law", law, *given, "--out", "report.html"]
    return (shlex.join(words),)
