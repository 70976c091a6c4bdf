"""Studies, records and fits by their path: a directory, an experiment, a table, a stored fit."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError

# A table of losses needs neither stores nor designs, which take a tenth of a second to import.
if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit
    from scaling_jax.study.plan.experiment_files import Scale
    from scaling_jax.study.plan.study import Study
    from scaling_jax.study.store.store import Store


def study_or_store(text: str, scale: "Scale" = "full") -> "Store | Study":
    """The study in a directory or a bucket, or the study that an experiment's file or name defines.

    Raises:
        InputError: as `Store.open` and `load_study`.
    """
    from scaling_jax.study.plan.named_study import load_study
    from scaling_jax.study.store.store import Store

    if "://" in text or Path(text).is_dir():
        return Store.open(text)
    return load_study(text, scale)


def read_records(
    path: Path, *, with_curves: bool = False
) -> "tuple[pd.DataFrame | Path, pd.DataFrame | None]":
    """Records of a study's directory, with its training curves; a file is left for the laws.

    Raises:
        InputError: a directory that holds no study.
    """
    if not _is_directory(path):
        return path, None
    from scaling_jax.study.store.loss_curves import curves
    from scaling_jax.study.store.records import collect
    from scaling_jax.study.store.store import Store

    store = Store.open(path)
    return collect(store), curves(store) if with_curves else None


def unused_floor(path: Path) -> str:
    """A sentence on the floor E that a study's design states and a fit without prior leaves out.

    Empty where the design states none, and for other files.

    Raises:
        InputError: a directory that holds no study.
    """
    if not _is_directory(path):
        return ""
    from scaling_jax.study.store.store import Store

    floor = Store.open(path).study["design"].get("floor")
    if floor is None:
        return ""
    centre, deviation = floor
    return (
        f"this fit does not use the floor E = {centre:g} ± {deviation:g} that the study's design "
        f"states and its forecast uses: fit with --prior E={centre:g}:{deviation:g} to use it"
    )


def fit_and_records(
    source: Path, records: Path | None = None, columns: Mapping[str, str] | None = None
) -> "tuple[Fit, pd.DataFrame | Path | None]":
    """A stored fit, with its records where these are given; or records and their fit by `auto`.

    Args:
        source: a fit as `Fit.to_json` wrote it, in a file that ends in `.json`; or a study's
            directory or a table.
        records: what a stored fit was fitted to.
        columns: our name -> the table's.

    Raises:
        InputError: a source that cannot be read or fitted, or records beside records.
    """
    from scaling_jax import laws

    if source.suffix == ".json" and not _is_directory(source):
        return laws.Fit.read(source), None if records is None else read_records(records)[0]
    if records is not None:
        raise InputError(
            f"{source} holds records, and so does {records}: give one of the two, or a stored fit "
            "and its records"
        )
    table, _ = read_records(source)
    return laws.fit(table, law="auto", columns=columns), table


def _is_directory(path: Path) -> bool:
    # Unlike `Path.is_dir`, false for a name that the file system refuses.
    return os.path.isdir(path)  # noqa: PTH112
