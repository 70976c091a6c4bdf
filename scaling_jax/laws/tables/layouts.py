"""Names of columns: a user's own, and those that trackers and well-known scripts write."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaling_jax.errors import InputError, nearest
from scaling_jax.laws.notes import Note, NoteCode, note_of

if TYPE_CHECKING:
    import pandas as pd

# A frame carries the notes of its reading here; `notes` may be a user's own.
_CARRIED = "scaling_jax.notes"

NATS, BITS_PER_BYTE = "nats per token", "bits per byte"
_SHORT_UNITS = {
    "nats": NATS,
    "bits": "bits per token",
    "bpb": BITS_PER_BYTE,
    "bits_per_byte": BITS_PER_BYTE,
}
_UNITS = dict.fromkeys(("bits_per_byte", "val_bpb", "bpb"), BITS_PER_BYTE)
# Together, only the records of a study of this package have these.
_OWN_RECORDS = {"run_id", "data_fingerprint", "loss", "loss_stderr", "bits_per_byte"}

# What others call the columns of a fit, the most usual first.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "params": (
        *("parameters", "n_params", "num_params", "num_parameters", "n_parameters"),
        *("total_params", "params_total", "parameter_count", "model_size", "N"),
    ),
    "tokens": (
        *("num_tokens", "n_tokens", "train_tokens", "training_tokens", "total_tokens"),
        *("tokens_seen", "tokens_trained", "train/tokens", "D"),
    ),
    "loss": (
        # The first is what runs of this package report to trackers.
        *("eval/held_out", "val/loss", "eval/loss", "validation/loss", "val_loss", "eval_loss"),
        *("validation_loss", "final_loss", "test_loss", "final_val_loss"),
    ),
    "flops": ("total_flops", "train_flops", "compute", "train/flops", "C"),
    "budget": ("compute_budget", "flops_budget", "flop_budget"),
}


@dataclass(frozen=True)
class _Layout:
    """A table that others write.

    Attributes:
        name: of what writes it.
        marks: columns that are all there.
        columns: ours -> theirs, the first that is there.
        sums: ours -> the columns that add up to it, where no single one is it.
        units: the column of a loss -> its unit.
        scaled: ours -> their column, and how many of our units one of theirs is.
    """

    name: str
    marks: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    sums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    scaled: Mapping[str, tuple[str, float]] = field(default_factory=dict)


_LAYOUTS = (
    _Layout(
        "Stanford's CS336",
        frozenset({"parameters", "compute_budget", "final_loss"}),
        {"params": ("parameters",), "budget": ("compute_budget",), "loss": ("final_loss",)},
        units={"final_loss": NATS},
    ),
    _Layout(
        "nanochat",
        frozenset({"flops_budget", "tokens_trained"}),
        {
            "params": ("params_total", "num_params", "num_scaling_params"),
            "params_non_embedding": ("num_scaling_params",),
            "tokens": ("tokens_trained",),
            "budget": ("flops_budget",),
            "loss": ("val_bpb", "val_loss"),
        },
        # What its scaling laws count: the matrices of the blocks and the head, no embedding.
        {"params_non_embedding": ("params_transformer", "params_lm_head")},
        {"val_bpb": BITS_PER_BYTE, "val_loss": NATS},
    ),
    _Layout(
        "marin",
        frozenset({"parameter_count", "throughput/total_tokens"}),
        {
            "params": ("parameter_count",),
            "tokens": ("throughput/total_tokens",),
            "loss": ("eval/paloma/c4_en/bpb", "eval/held_out/bpb"),
        },
        units=dict.fromkeys(("eval/paloma/c4_en/bpb", "eval/held_out/bpb"), BITS_PER_BYTE),
        scaled={"flops": ("throughput/total_gflops", 1e9)},
    ),
    _Layout(
        "Weights & Biases",
        frozenset({"Name", "State"}),
        {"run_id": ("ID", "Name"), "status": ("State",), **ALIASES},
    ),
    _Layout(
        "Weights & Biases",
        frozenset({"name", "state"}),
        {"run_id": ("id", "name"), "status": ("state",), **ALIASES},
    ),
    _Layout(
        "a table without nats",
        frozenset({"bits_per_byte"}),
        {"loss": ("bits_per_byte",)},
        units={"bits_per_byte": BITS_PER_BYTE},
    ),
)


def with_our_names(
    frame: "pd.DataFrame", columns: Mapping[str, str] | None = None, name: str = "the table"
) -> "pd.DataFrame":
    """The table with the names that laws read; notes and the loss's unit are in its `attrs`.

    Args:
        frame: the table that the user gave.
        columns: ours -> theirs; what is left open follows from a layout that is recognised.
        name: of the table, for messages.

    Raises:
        InputError: `columns` names a column that is not there; two columns may be the loss.
    """
    theirs = dict(columns or {})
    for ours, their in theirs.items():
        if not isinstance(their, str) or their not in frame:
            raise InputError(
                f"{name} has no column {their!r}, which columns maps to {ours!r}"
                f"{nearest(str(their), map(str, frame.columns))}; it has "
                f"{', '.join(map(str, frame.columns))}"
            )
    notes: tuple[Note, ...] = ()
    unit = ""
    layout = next((each for each in _LAYOUTS if each.marks.issubset(frame.columns)), None)
    if layout is not None:
        found = {
            ours: _chosen(frame, ours, names, layout, name)
            for ours, names in layout.columns.items()
            if ours not in frame and ours not in theirs
        }
        found = {ours: their for ours, their in found.items() if their}
        unit = layout.units.get({**theirs, **found}.get("loss", ""), "")
        sums = _sums(frame, layout, {*theirs, *found})
        scaled = {
            ours: (their, factor)
            for ours, (their, factor) in layout.scaled.items()
            if ours not in frame and ours not in theirs and their in frame
        }
        computed = {ours: _added(frame, names) for ours, names in sums.items()} | {
            ours: factor * _added(frame, [their]) for ours, (their, factor) in scaled.items()
        }
        frame = frame.assign(**computed)
        if found or computed:
            single = [f"{ours} is {their}" for ours, their in found.items()]
            single += [f"{ours} is {' + '.join(names)}" for ours, names in sums.items()]
            single += [f"{ours} is {factor:g} {their}" for ours, (their, factor) in scaled.items()]
            pairs = ", ".join(single)
            text = f"The columns are named as {layout.name} names them: {pairs}."
            notes = (Note(NoteCode.COLUMNS_RECOGNISED, text),)
        theirs |= found
    if not theirs and not notes:
        return frame
    named = frame.drop(columns=[*theirs.values()]).assign(
        **{ours: frame[their] for ours, their in theirs.items()}
    )
    unit = _UNITS.get(theirs.get("loss", ""), unit)
    known = with_notes(frame, *notes)
    named.attrs = {**known, "unit": unit or known.get("unit", "")}
    return named


def _sums(
    frame: "pd.DataFrame", layout: _Layout, known: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The columns of ours that others of the table add up to."""
    return {
        ours: names
        for ours, names in layout.sums.items()
        if ours not in frame and ours not in known and {*names}.issubset(frame.columns)
    }


def _added(frame: "pd.DataFrame", names: Iterable[str]) -> "pd.Series":
    """The sum of columns, blank where one of them is or holds no number."""
    import pandas as pd

    added: pd.Series[float] = (
        frame[[*names]].apply(pd.to_numeric, errors="coerce").sum(axis=1, skipna=False)
    )
    return added


def notes_on(frame: "pd.DataFrame") -> tuple[Note, ...]:
    """The notes that reading the table left on it."""
    # A frame that was stored and read again has them as plain text.
    return tuple(map(note_of, frame.attrs.get(_CARRIED, ())))


def with_notes(frame: "pd.DataFrame", *notes: Note) -> dict[Hashable, Any]:
    """The table's `attrs` with more notes."""
    return {**frame.attrs, _CARRIED: (*notes_on(frame), *notes)}


def _chosen(
    frame: "pd.DataFrame", ours: str, names: Iterable[str], layout: _Layout, table: str
) -> str:
    """The column that stands for ours; empty where there is none."""
    there = [name for name in names if name in frame]
    if ours == "loss" and len(there) > 1 and not layout.units:
        raise InputError(
            f"{table}: {' or '.join(there)} may be the loss: choose with --columns "
            f"loss={there[0]} (in Python, columns={{'loss': {there[0]!r}}})"
        )
    return there[0] if there else ""


def hint(column: str, names: Iterable[str]) -> str:
    """A question that suggests a column of a table for one of ours; empty if none is near."""
    there = [*map(str, names)]
    usual = {column.casefold(), *(alias.casefold() for alias in ALIASES.get(column, ()))}
    alike = [name for name in there if name.strip().casefold() in usual]
    if not alike:
        return nearest(column, there)
    return (
        f"; did you mean {alike[0]!r}? Then give --columns {column}={alike[0]} (in Python, "
        f"columns={{{column!r}: {alike[0]!r}}})"
    )


def loss_unit(frame: "pd.DataFrame", unit: str | None = None) -> str:
    """The unit of the loss where it is known: given, of the layout, or of the records here.

    Raises:
        InputError: a unit that is no text.
    """
    if unit is not None:
        if not isinstance(unit, str) or not unit.strip():
            raise InputError(f"unit {unit!r} must be text, such as 'nats per token'")
        return _SHORT_UNITS.get(unit.strip().casefold(), unit.strip())
    if frame.attrs.get("unit"):
        return str(frame.attrs["unit"])
    return NATS if is_own_records(frame) else ""


def is_own_records(frame: "pd.DataFrame") -> bool:
    """Whether the table holds the records of a study of this package."""
    return _OWN_RECORDS.issubset(frame.columns)
