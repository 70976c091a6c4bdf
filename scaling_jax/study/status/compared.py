"""Studies side by side: losses in pairs of runs, exponents, and compute multipliers."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax.config.evaluation import HELD_OUT
from scaling_jax.errors import InputError
from scaling_jax.study.store.records import collect, curves
from scaling_jax.study.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from scaling_jax.laws import ComputeMultiplier, GroupedFits
    from scaling_jax.runs.details import HeldOutDetails

STUDY = "study"
# Runs of one length end on whole steps of their batches, so up to this factor apart.
_SAME_LENGTH = 1.02
# Losses differ in meaning where one of these does. The fingerprint is that of the tokenized text.
_SAME_TEXT = ("tokenizer", "corpus", "data_fingerprint", "seq_len", "eval_tokens")


@dataclass(frozen=True)
class CellDifference:
    """The loss of study B minus that of study A at one size and length.

    Attributes:
        params, tokens: the size, and the length of A's runs.
        loss_a, loss_b: means over the runs of the cell.
        n_a, n_b: number of runs, of several seeds.
        difference: `loss_b - loss_a`.
        stderr: standard error of the difference, None where the table does not show it.
        paired: whether the losses were compared window by window; otherwise `stderr` is that of
            different texts, which is too large for losses on one text.
    """

    params: float
    tokens: float
    loss_a: float
    loss_b: float
    n_a: int
    n_b: int
    difference: float
    stderr: float | None
    paired: bool


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
    cells = _cells(frames[a], frames[b], details[a], details[b])
    mean, stderr = _mean(cells)
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


def _cells(
    a: "pd.DataFrame",
    b: "pd.DataFrame",
    details_a: "Mapping[str, HeldOutDetails]",
    details_b: "Mapping[str, HeldOutDetails]",
) -> tuple[CellDifference, ...]:
    from scaling_jax.laws.tables.select import fitted_rows

    ours, theirs = (_by_cell(fitted_rows(each)) for each in (a, b))
    found = []
    for (params, tokens), rows in ours.items():
        lengths = [length for size, length in theirs if size == params]
        nearest = min(lengths, key=lambda length: abs(math.log(length / tokens)), default=None)
        if nearest is None or abs(math.log(nearest / tokens)) > math.log(_SAME_LENGTH):
            continue
        found.append(_cell(params, tokens, rows, theirs[params, nearest], details_a, details_b))
    return tuple(found)


def _by_cell(rows: "pd.DataFrame") -> "dict[tuple[float, float], pd.DataFrame]":
    cells: Any = rows.groupby(["params", "tokens"])
    return {(float(size), float(length)): group for (size, length), group in cells}


def _cell(
    params: float,
    tokens: float,
    a: "pd.DataFrame",
    b: "pd.DataFrame",
    details_a: "Mapping[str, HeldOutDetails]",
    details_b: "Mapping[str, HeldOutDetails]",
) -> CellDifference:
    loss_a, loss_b = float(a["loss"].mean()), float(b["loss"].mean())
    windows = _windows(a, details_a), _windows(b, details_b)
    paired = all(each is not None for each in windows) and windows[0][0] == windows[1][0]  # type: ignore[index]
    if paired:
        from scaling_jax.trained.paired import paired_difference

        text: float | None = paired_difference(windows[1][1], windows[0][1]).stderr  # type: ignore[index]
    else:
        text = _hypot(_unpaired(a), _unpaired(b))
    # Runs of several seeds also show the scatter of training.
    seeds = _hypot(*(_of_mean(each["loss"]) for each in (a, b)))
    known = [each for each in (text, seeds) if each is not None]
    return CellDifference(
        params=float(params),
        tokens=float(tokens),
        loss_a=loss_a,
        loss_b=loss_b,
        n_a=len(a),
        n_b=len(b),
        difference=loss_b - loss_a,
        stderr=math.hypot(*known) if known else None,
        paired=paired,
    )


def _windows(
    rows: "pd.DataFrame", details: "Mapping[str, HeldOutDetails]"
) -> "tuple[str, np.ndarray] | None":
    """Hash of the windows, and their losses averaged over the runs; None if a run lacks them."""
    import numpy as np

    kept = [details.get(str(run_id)) for run_id in rows.get("run_id", [])]
    known = [each for each in kept if each is not None]
    if not kept or len(known) < len(kept) or len({each.windows for each in known}) > 1:
        return None
    losses = [np.asarray(each.window_N, np.float64) for each in known]
    return (known[0].windows, np.mean(losses, axis=0)) if len(losses[0]) > 1 else None


def _unpaired(rows: "pd.DataFrame") -> float | None:
    """Standard error from the choice of the text, which runs of several seeds share."""
    if "loss_stderr" not in rows or rows["loss_stderr"].isna().any():
        return None
    return float(rows["loss_stderr"].mean())


def _of_mean(losses: "pd.Series") -> float | None:
    return float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else None


def _hypot(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else math.hypot(a, b)


def _mean(cells: Sequence[CellDifference]) -> tuple[float | None, float | None]:
    import pandas as pd

    differences = pd.Series([cell.difference for cell in cells], dtype=float)
    return (float(differences.mean()) if len(cells) else None), _of_mean(differences)


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
