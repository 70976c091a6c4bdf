"""The rows and columns of a checked table that a fit uses."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.conventions import (
    COUNTS,
    PARAMS_COLUMN,
    SIX_N_D,
    Compute,
    Count,
)
from scaling_jax.laws.notes import Note
from scaling_jax.laws.tables.check import is_blank, numbers, reads_size_and_data, reasons
from scaling_jax.laws.tables.compute import Cost, cost_of, groups_of
from scaling_jax.laws.tables.words import texts, where

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rows:
    """The rows a fit uses, as float64 columns, and what was left out.

    Attributes:
        variables: columns that the law reads, and `params` and `tokens` where the law is of the
            loss in those; N is in the wanted count.
        response: what the law predicts.
        is_loss: whether that is the loss.
        flops: C of each row, as `compute` says; NaN where it is unknown.
        budget: FLOPs of each row's IsoFLOP group; None where there are no groups.
        run_id: which run a row belongs to, empty where a row does not say; None where the table
            does not.
        weight: how often each row counts; ones where the table does not say.
        label: where each row stands in the table, such as `line 4`.
        dropped: reason -> number of rows.
        fingerprint: hash of the numbers.
        compute: what C is, here and in every approach.
        compute_notes: that in sentences, with what the budgets are in this C.
        budget_factor: median of the column `budget` over C; 1 without the column.
    """

    variables: dict[str, np.ndarray]
    response: np.ndarray
    is_loss: bool
    flops: np.ndarray
    budget: np.ndarray | None
    run_id: np.ndarray | None
    weight: np.ndarray
    label: np.ndarray
    dropped: dict[str, int]
    fingerprint: str
    compute: Compute = SIX_N_D
    compute_notes: tuple[Note, ...] = ()
    budget_factor: float = 1.0

    def __len__(self) -> int:
        return len(self.response)

    @property
    def params(self) -> np.ndarray:
        """Model sizes N in the wanted count."""
        return self.variables["params"]

    @property
    def tokens(self) -> np.ndarray:
        """Training tokens D."""
        return self.variables["tokens"]

    @property
    def loss(self) -> np.ndarray:
        """The response of a law of the loss, nats per token."""
        return self.response

    def only(self, kept_N: np.ndarray, reason: str) -> "Rows":
        """The rows kept; how many others were dropped is counted under the reason."""
        columns = ("response", "flops", "budget", "run_id", "weight", "label")
        parts = {name: getattr(self, name) for name in columns}
        kept: dict[str, Any] = {n: p if p is None else p[kept_N] for n, p in parts.items()}
        return replace(
            self,
            variables={name: column[kept_N] for name, column in self.variables.items()},
            dropped={**self.dropped, reason: int((~kept_N).sum())},
            **kept,
        )

    @property
    def has_size_and_data(self) -> bool:
        """Whether every row is a loss with params, tokens and FLOPs."""
        return (
            self.is_loss
            and {"params", "tokens"}.issubset(self.variables)
            and bool(np.isfinite(self.flops).all())
        )


def usable_rows(frame: "pd.DataFrame", count: Count = "total", law: Law = CHINCHILLA) -> Rows:
    """The finished runs of a checked table, verification runs left out.

    Where the table lacks them, `flops` are 6 params tokens, `tokens_per_param` tokens over
    params, and `batch_tokens` batch_size seq_len.

    Raises:
        InputError: an unknown count, one that the table does not hold, or one for a law that reads
            no params; no row is left; a blank cell in a row that is fitted.
    """
    _require_counted(count, law)
    reads_params = "params" in _needed(frame, law)
    column = _params_column(frame, count) if reads_params else ""
    left_out, kept = reasons(frame, law.response), fitted_rows(frame, law.response)
    if kept.empty:
        raise InputError(
            f"none of the table's {len(frame)} rows can be fitted: {_tally(left_out)}; finish some "
            "runs first"
        )
    if reads_params:
        _require_filled(kept, column, f", but count {count!r} needs it")
        none_N = np.zeros(len(kept), bool)
        kept = kept.assign(params=numbers(kept, column, may_be_blank_N=none_N))
    columns = {name: _column(kept, name) for name in _needed(frame, law)}
    response, cost = _column(kept, law.response), _cost(kept, columns, count)
    planned, flops = _optional(kept, "budget"), cost.flops
    budget, why = groups_of(flops, planned)
    stacked = np.stack([*columns.values(), response, flops])
    return Rows(
        variables=columns,
        response=response,
        is_loss=law.response == "loss",
        flops=flops,
        budget=budget,
        run_id=texts(kept["run_id"]) if "run_id" in kept else None,
        weight=_filled(kept, "weight", np.ones(len(kept))),
        label=np.array([where(kept, row) for row in range(len(kept))]),
        dropped=_tally(left_out) | frame.attrs.get("dropped", {}),
        fingerprint=hashlib.sha256(stacked.tobytes()).hexdigest(),
        compute=cost.compute,
        compute_notes=tuple(note for note in (cost.note, why) if note),
        budget_factor=1.0 if planned is None else _median(planned / flops),
    )


def fitted_rows(frame: "pd.DataFrame", response: str = "loss") -> "pd.DataFrame":
    """The rows that a fit uses: finished runs, without verification runs and rows of weight 0."""
    kept: pd.DataFrame = frame[reasons(frame, response) == ""]
    return kept


def clusters(rows: Rows) -> np.ndarray:
    """The run of every row, for resampling whole runs.

    Raises:
        InputError: no column `run_id`, a row that names no run, or rows of one run only.
    """
    if rows.run_id is None:
        raise InputError("resampling runs needs a column 'run_id': add it, or resample rows")
    if (rows.run_id == "").any():
        row = int((rows.run_id == "").argmax())
        raise InputError(
            f"{rows.label[row]}, column 'run_id' is blank, so that it belongs to no run: fill it "
            "in, or resample rows"
        )
    if len(np.unique(rows.run_id)) < 2:
        raise InputError(
            f"column 'run_id': every row is of the run {rows.run_id[0]!r}, so that resamples of "
            "whole runs would all be alike: resample rows"
        )
    return rows.run_id


def repeats_runs(rows: Rows) -> bool:
    """Whether several rows share a run and whole runs can be resampled."""
    if rows.run_id is None or (rows.run_id == "").any():
        return False
    return 1 < len(np.unique(rows.run_id)) < len(rows)


def _needed(frame: "pd.DataFrame", law: Law) -> tuple[str, ...]:
    """The law's variables; for a law of size or data alone, the other one where it is there."""
    if not reads_size_and_data(law):
        return law.variables
    both = [name for name in ("params", "tokens") if name in law.variables or name in frame]
    return tuple(both)


def _require_counted(count: Count, law: Law) -> None:
    """Refuse a count of parameters for a law that reads no parameters."""
    if count not in COUNTS:
        raise InputError(f"unknown parameter count {count!r}{suggestion(count, COUNTS)}")
    if count != "total" and "params" not in law.variables:
        raise InputError(
            f"count {count!r} is of params, which the law {law.name!r} does not read (it reads "
            f"{', '.join(law.variables)}): leave the count out"
        )


def _params_column(frame: "pd.DataFrame", count: Count) -> str:
    column = PARAMS_COLUMN[count]
    if column not in frame:
        raise InputError(
            f"the table has no column {column!r}, which count {count!r} needs: "
            "add it, or use count 'total'"
        )
    return column


def _column(frame: "pd.DataFrame", name: str) -> np.ndarray:
    """The column, made from others where the table lacks it."""
    if name in frame:
        if name == "flops" and {"params", "tokens"}.issubset(frame.columns):
            params_N, tokens_N = (frame[n].to_numpy(np.float64) for n in ("params", "tokens"))
            return _filled(frame, "flops", SIX_N_D.of(params_N, tokens_N))
        _require_filled(frame, name)
        return frame[name].to_numpy(np.float64)
    derived: np.ndarray
    if name == "flops":
        derived = SIX_N_D.of(_column(frame, "params"), _column(frame, "tokens"))
    elif name == "tokens_per_param":
        derived = _column(frame, "tokens") / _column(frame, "params")
    else:
        derived = _column(frame, "batch_size") * _column(frame, "seq_len")
    return derived


def _cost(frame: "pd.DataFrame", columns: dict[str, np.ndarray], count: Count) -> Cost:
    """C of the rows; that of the column `flops` alone where size or data is unknown."""
    flops_N = columns.get("flops", _optional(frame, "flops"))
    if "flops" in columns or not {"params", "tokens"}.issubset(columns):
        unknown_N = np.full(len(frame), np.nan)
        return Cost(unknown_N if flops_N is None else flops_N, SIX_N_D, None)
    budget_N = _optional(frame, "budget")
    return cost_of(columns["params"], columns["tokens"], flops_N, budget_N, count)


def _median(ratio_N: np.ndarray) -> float:
    known_N = ratio_N[~np.isnan(ratio_N)]
    return float(np.median(known_N)) if len(known_N) else 1.0


def _require_filled(frame: "pd.DataFrame", column: str, reason: str = "") -> None:
    blank_N = is_blank(frame[column])
    if blank_N.any():
        row = int(blank_N.argmax())
        raise InputError(
            f"{where(frame, row)}, column {column!r} is blank{reason}: fill it in, or remove the "
            "row"
        )


def _optional(frame: "pd.DataFrame", column: str) -> np.ndarray | None:
    return frame[column].to_numpy(np.float64) if column in frame else None


def _filled(frame: "pd.DataFrame", column: str, default_N: np.ndarray) -> np.ndarray:
    """The column, and the default where there is none or a cell is blank."""
    if column not in frame:
        return default_N
    values_N = frame[column].to_numpy(np.float64)
    return np.where(np.isnan(values_N), default_N, values_N)


def _tally(left_out: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(left_out[left_out != ""].astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
