"""The rows and columns of a checked table that a fit uses."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.conventions import (
    COUNTS,
    FLOPS_PER_PARAM_TOKEN,
    PARAMS_COLUMN,
    SIX_N_D,
    Compute,
    Count,
)
from scaling_jax.laws.tables.check import is_blank, numbers, reads_size_and_data, reasons
from scaling_jax.laws.tables.words import texts, where

if TYPE_CHECKING:
    import pandas as pd

# Rows of one budget lie this close together in FLOPs, and budgets farther apart than that.
BUDGET_GAP = 1.15
_BUDGET_SPREAD = 1.35


@dataclass(frozen=True)
class Rows:
    """The rows a fit uses, as float64 columns, and what was left out.

    Attributes:
        variables: columns that the law reads, and `params` and `tokens` where the law is of the
            loss in those; N is in the wanted count.
        response: what the law predicts.
        is_loss: whether that is the loss.
        flops: as in the table, or 6 N D; NaN where the table has neither.
        budget: planned FLOPs of each row's IsoFLOP group; None where there are no groups.
        run_id: which run a row belongs to, empty where a row does not say; None where the table
            does not.
        weight: how often each row counts; ones where the table does not say.
        label: where each row stands in the table, such as `line 4`.
        dropped: reason -> number of rows.
        fingerprint: hash of the numbers.
        compute: what C is, here and in every approach.
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
        InputError: an unknown count, or the table does not hold it; no row is left; a blank cell
            in a row that is fitted.
    """
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
    response, flops = _column(kept, law.response), _flops(kept, columns)
    stacked = np.stack([*columns.values(), response, flops])
    has_budget = _has(kept, "budget") and not np.isnan(flops).any()
    return Rows(
        variables=columns,
        response=response,
        is_loss=law.response == "loss",
        flops=flops,
        # A row without a budget among others that have one belongs to a group of its own.
        budget=_filled(kept, "budget", flops) if has_budget else infer_budgets(flops),
        run_id=texts(kept["run_id"]) if "run_id" in kept else None,
        weight=_filled(kept, "weight", np.ones(len(kept))),
        label=np.array([where(kept, row) for row in range(len(kept))]),
        dropped=_tally(left_out),
        fingerprint=hashlib.sha256(stacked.tobytes()).hexdigest(),
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


def infer_budgets(flops: np.ndarray) -> np.ndarray | None:
    """Group rows of nearly equal FLOPs and name each group by its geometric mean.

    None where they do not fall into groups: a gap of at least 15 % between groups, and no group
    wider than 35 %.
    """
    if np.isnan(flops).any():
        return None
    order = np.argsort(flops)
    logs = np.log(flops[order])
    group = np.concatenate([[0], np.cumsum(np.diff(logs) > np.log(BUDGET_GAP))])
    budgets = np.empty_like(flops)
    for g in range(group[-1] + 1):
        members = logs[group == g]
        if members[-1] - members[0] > np.log(_BUDGET_SPREAD):
            return None
        budgets[order[group == g]] = np.exp(members.mean())
    return budgets


def _needed(frame: "pd.DataFrame", law: Law) -> tuple[str, ...]:
    """The law's variables; for a law of size or data alone, the other one where it is there."""
    if not reads_size_and_data(law):
        return law.variables
    both = [name for name in ("params", "tokens") if name in law.variables or name in frame]
    return tuple(both)


def _params_column(frame: "pd.DataFrame", count: Count) -> str:
    if count not in COUNTS:
        raise InputError(f"unknown parameter count {count!r}{suggestion(count, COUNTS)}")
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
            return _flops(frame, {n: frame[n].to_numpy(np.float64) for n in ("params", "tokens")})
        _require_filled(frame, name)
        return frame[name].to_numpy(np.float64)
    derived: np.ndarray
    if name == "flops":
        derived = FLOPS_PER_PARAM_TOKEN * _column(frame, "params") * _column(frame, "tokens")
    elif name == "tokens_per_param":
        derived = _column(frame, "tokens") / _column(frame, "params")
    else:
        derived = _column(frame, "batch_size") * _column(frame, "seq_len")
    return derived


def _flops(frame: "pd.DataFrame", columns: dict[str, np.ndarray]) -> np.ndarray:
    """The table's FLOPs, and 6 N D where it has none; NaN where neither is known."""
    unknown_N = np.full(len(frame), np.nan)
    if {"params", "tokens"}.issubset(columns):
        unknown_N = FLOPS_PER_PARAM_TOKEN * columns["params"] * columns["tokens"]
    return columns["flops"] if "flops" in columns else _filled(frame, "flops", unknown_N)


def _require_filled(frame: "pd.DataFrame", column: str, reason: str = "") -> None:
    blank_N = is_blank(frame[column])
    if blank_N.any():
        row = int(blank_N.argmax())
        raise InputError(
            f"{where(frame, row)}, column {column!r} is blank{reason}: fill it in, or remove the "
            "row"
        )


def _has(frame: "pd.DataFrame", column: str) -> bool:
    return column in frame and bool(frame[column].notna().any())


def _filled(frame: "pd.DataFrame", column: str, default_N: np.ndarray) -> np.ndarray:
    """The column, and the default where there is none or a cell is blank."""
    if column not in frame:
        return default_N
    values_N = frame[column].to_numpy(np.float64)
    return np.where(np.isnan(values_N), default_N, values_N)


def _tally(left_out: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(left_out[left_out != ""].astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
