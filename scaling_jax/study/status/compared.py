"""Studies side by side: losses in pairs of runs, exponents, and compute multipliers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax.config.evaluation import HELD_OUT
from scaling_jax.errors import InputError
from scaling_jax.study.status.loss_differences import (
    CellDifference,
    loss_differences,
    mean_difference,
)
from scaling_jax.study.store.loss_curves import curves
from scaling_jax.study.store.records import collect
from scaling_jax.study.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import ComputeMultiplier, GroupedFits
    from scaling_jax.runs.details import HeldOutDetails

STUDY = "study"
# Losses differ in meaning where one of these does. The fingerprint is that of the tokenized text.
_SAME_TEXT = ("tokenizer", "corpus", "data_fingerprint", "seq_len", "eval_tokens")


@dataclass(frozen=True)
class StudyPair:
    """Study B compared with study A.

    Attributes:
        a, b: their names.
        differing: why losses are not compared, such as other tokenizers; then no cells.
        cells: the sizes and lengths that both trained.
        mean, stderr: mean difference over the cells, and its standard error from their scatter.
        multiplier: A's compute over what B needs for the same loss; None where it is not known.
        no_multiplier: the reason.
    """

    a: str
    b: str
    differing: str
    cells: tuple[CellDifference, ...]
    mean: float | None
    stderr: float | None
    multiplier: "ComputeMultiplier | None"
    no_multiplier: str


@dataclass(frozen=True)
class ComparedStudies:
    """Two or more studies, the first compared with every other.

    Attributes:
        frame: the rows of all, whose column `study` names the study.
        curves: loss curves of all, with the same column; None where no study has any.
        grouped: the fit of every study.
        pairs: the first study with each of the others.
    """

    frame: "pd.DataFrame"
    curves: "pd.DataFrame | None"
    grouped: "GroupedFits"
    pairs: tuple[StudyPair, ...]

    def __str__(self) -> str:
        from scaling_jax.formatting import plain_spaces
        from scaling_jax.study.status.compared_text import compared_text

        return plain_spaces("\n".join(map(str, compared_text(self))))


def compare_studies(
    sources: Sequence[Any],
    *,
    law: str = "chinchilla",
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
    **options: Any,
) -> ComparedStudies:
    """Compare studies: losses where two trained the same size and length, and the fitted laws.

    Losses are compared only if unit, tokenizer and held-out text are the same; otherwise the pair
    names what differs, and the exponents alone stand side by side. Runs that keep their losses by
    window (`eval_details`) are compared in pairs of windows.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.study.status import compare_studies
    >>> n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 4), [1e8, 1e9, 1e10]))
    >>> def table(better):
    ...     loss = 1.7 + 400 / (better * n) ** 0.34 + 410 / (better * d) ** 0.28
    ...     return pd.DataFrame({"params": n, "tokens": d, "loss": loss})
    >>> pair = compare_studies([table(1), table(2)], bootstrap=0).pairs[0]
    >>> len(pair.cells), pair.mean < 0, round(pair.multiplier.multiplier.value, 1)
    (12, True, 4.0)

    Args:
        sources: directories or stores of studies, or tables; the first is A.
        law: the law of params and tokens that is fitted to each.
        columns, unit: of tables, as `laws.fit` takes them.
        options: further options of `laws.fit`.

    Raises:
        InputError: fewer than two sources, one that cannot be read, or none that can be fitted
            where no two trained a model of the same size and length either.
    """
    import pandas as pd

    from scaling_jax.laws.grouping import fit_groups
    from scaling_jax.laws.tables.layouts import loss_unit

    if len(sources) < 2:
        raise InputError("a comparison needs two studies or tables: name another")
    stores = [_store(source) for source in sources]
    labels = _labels(sources, stores)
    frames = {
        label: _frame(source if store is None else collect(store), law, columns)
        for label, source, store in zip(labels, sources, stores, strict=True)
    }
    units = {label: loss_unit(frame, unit) for label, frame in frames.items()}
    named = [frame.assign(**{STUDY: label}) for label, frame in frames.items()]
    # With an empty unit the fits say nothing of it, as where studies have several.
    one_unit = next(iter(units.values())) if len(set(units.values())) == 1 else ""
    frame = pd.concat([each.dropna(axis=1, how="all") for each in named], ignore_index=True)
    grouped = fit_groups(frame, STUDY, law=law, unit=one_unit or None, **options)
    details = {
        label: {} if store is None else _details(store)
        for label, store in zip(labels, stores, strict=True)
    }
    first, *others = labels
    pairs = tuple(_pair(first, other, frames, units, details, grouped) for other in others)
    if not grouped.fits and not any(pair.cells for pair in pairs):
        raise InputError(
            f"no study can be fitted, and {first} has no run of the size and length of another; "
            f"{first}: {grouped.refused[first]}"
        )
    drawn = [
        curves(store).assign(**{STUDY: label})
        for label, store in zip(labels, stores, strict=True)
        if store is not None
    ]
    shown = [each for each in drawn if len(each)]
    joined = pd.concat(shown, ignore_index=True) if shown else None
    return ComparedStudies(frame, joined, grouped, pairs)


def _store(source: Any) -> Store | None:
    if isinstance(source, Store):
        return source
    if not isinstance(source, str | os.PathLike):
        return None
    from scaling_jax.laws.tables.formats import is_table

    path = os.fspath(source)
    is_bucket = "://" in path and not is_table(path)
    return Store.open(path) if is_bucket or os.path.isdir(path) else None  # noqa: PTH112


def _labels(sources: Sequence[Any], stores: Sequence[Store | None]) -> list[str]:
    """A name for each source: that of its file or folder, or its path where two have one name."""
    paths = [
        str(store.directory) if store is not None else _path(source, number)
        for number, (source, store) in enumerate(zip(sources, stores, strict=True))
    ]
    short = [path.rstrip("/").rpartition("/")[2] for path in paths]
    labels = short if len(set(short)) == len(short) else paths
    if len(set(labels)) < len(labels):
        raise InputError(f"{labels[0]} is named twice: name studies that differ")
    return labels


def _path(source: Any, number: int) -> str:
    is_path = isinstance(source, str | os.PathLike)
    return os.fspath(source) if is_path else f"table {number + 1}"


def _frame(source: Any, law: str, columns: Mapping[str, str] | None) -> "pd.DataFrame":
    from scaling_jax.laws.catalogue.find import law_or_default
    from scaling_jax.laws.tables.read import load_table

    return load_table(source, law_or_default(law), columns)


def _details(store: Store) -> "dict[str, HeldOutDetails]":
    """Run id -> losses by window, of the finished runs that keep them."""
    from scaling_jax.runs.details import read_details

    kept = {}
    for run in store.runs():
        result = run.result
        if result is not None and result.status == "finished" and result.details is not None:
            kept[run.run_id] = read_details(run.directory, result.details)[HELD_OUT]
    return kept


def _pair(
    a: str,
    b: str,
    frames: "Mapping[str, pd.DataFrame]",
    units: Mapping[str, str],
    details: "Mapping[str, Mapping[str, HeldOutDetails]]",
    grouped: "GroupedFits",
) -> StudyPair:
    differing = _differing(frames[a], frames[b], units[a], units[b])
    if differing:
        return StudyPair(a, b, differing, (), None, None, None, "their losses are not compared")
    cells = loss_differences(frames[a], frames[b], details[a], details[b])
    mean, stderr = mean_difference(cells)
    multiplier, reason = _multiplier(a, b, grouped)
    return StudyPair(a, b, "", cells, mean, stderr, multiplier, reason)


def _differing(a: "pd.DataFrame", b: "pd.DataFrame", unit_a: str, unit_b: str) -> str:
    """What keeps the losses of two studies from being compared; empty if nothing is known to."""
    from scaling_jax.laws.tables.select import fitted_rows

    found = [f"unit {unit_a} and {unit_b}"] if unit_a and unit_b and unit_a != unit_b else []
    rows = fitted_rows(a), fitted_rows(b)
    values = {
        name: [sorted(map(str, each[name].dropna().unique())) for each in rows]
        for name in _SAME_TEXT
        if all(name in each and each[name].notna().any() for each in rows)
    }
    differ = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    if "data_fingerprint" in values and "data_fingerprint" not in differ:
        # The same tokens under two names, such as the path of a moved file.
        differ = {k: v for k, v in differ.items() if k not in ("tokenizer", "corpus")}
    elif set(differ) & {"tokenizer", "corpus"}:
        differ.pop("data_fingerprint", None)
    found += [
        f"{name} {', '.join(one)} and {', '.join(two)}" for name, (one, two) in differ.items()
    ]
    return "; ".join(found)


def _multiplier(a: str, b: str, grouped: "GroupedFits") -> "tuple[ComputeMultiplier | None, str]":
    from scaling_jax import laws

    for name in (a, b):
        if name not in grouped.fits:
            return None, f"{name} was not fitted: {grouped.refused[name]}"
    try:
        fits = grouped.fits[a], grouped.fits[b]
        return laws.compute_multiplier(*fits, flops=grouped.budget), ""
    except InputError as error:
        return None, str(error)
