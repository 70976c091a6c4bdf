"""A study's records in a file: CSV, Parquet, or as other tools write theirs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from scaling_jax.errors import InputError
from scaling_jax.system.outputs import replacing

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["wandb", "nanochat", "marin"]

# The formats with a line of JSON for each run; the others are CSV.
_JSON_LINES: tuple[Format, ...] = ("marin",)
_ENDINGS = (".csv", ".parquet")
_STATES = {"finished": "finished", "diverged": "failed", "failed": "failed", "cancelled": "killed"}


def endings_of(format_: Format | None = None) -> tuple[str, ...]:
    """The endings that a file in this format can have; without a format, that of any table.

    Raises:
        InputError: an unknown format.
    """
    if format_ is None:
        return _ENDINGS
    if format_ not in get_args(Format):
        raise InputError(f"format {format_!r} is none of {', '.join(get_args(Format))}")
    return (".jsonl",) if format_ in _JSON_LINES else (".csv",)


def foreign_text(records: "pd.DataFrame", format_: Format) -> str:
    """The records of `collect` as text in another tool's format.

    `wandb` is the export of a project's runs as CSV: `Name`, `State` and a column for each value
    of the configuration and the summary. `nanochat` is the `results.csv` of its scaling-law
    script, with the finished runs and without the columns that a run here does not have.
    `marin` has a record with `config` and `summary` for each finished run, as its runs leave in
    `tracker_metrics.jsonl`.

    Raises:
        InputError: no finished run, or one whose bits per byte are unknown, which the loss of
            `nanochat` and `marin` is in.
    """
    if format_ == "wandb":
        return _wandb(records).to_csv(index=False)
    finished = records[records["status"] == "finished"]
    if finished.empty or finished["bits_per_byte"].isna().any():
        raise InputError(
            f"format {format_!r} holds finished runs with their bits per byte, which "
            f"{'no run has' if finished.empty else 'some runs do not have'}: collect without it"
        )
    if format_ == "nanochat":
        return _nanochat(finished).to_csv(index=False)
    return "".join(json.dumps(_marin(row)) + "\n" for row in finished.to_dict("records"))


def write_table(table: "pd.DataFrame", path: Path, format_: Format | None = None) -> None:
    """Write a table to a file, which appears in one step.

    Args:
        table: the records of `collect` if there is a format, else any table.
        path: the file, with one of `endings_of`.
        format_: another tool's; by default the file's ending decides.

    Raises:
        InputError: as `foreign_text`, or a file that cannot be written.
    """
    with replacing(path) as temporary:
        if format_ is not None:
            temporary.write_text(foreign_text(table, format_))
        elif path.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def _wandb(records: "pd.DataFrame") -> "pd.DataFrame":
    state = records["status"].map(_STATES).fillna("running")
    rest = records.drop(columns=["run_id", "status", "loss"])
    named = {"Name": records["run_id"], "State": state, "ID": records["run_id"]}
    return rest.assign(**{"eval/held_out": records["loss"]}, **named)[
        [*named, "eval/held_out", *rest.columns]
    ]


def _nanochat(finished: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    budget = finished["budget"].fillna(finished["flops"])
    return pd.DataFrame(
        {
            "flops_budget": budget,
            "depth": finished["n_layers"],
            "model_dim": finished["d_model"],
            "num_params": finished["params"],
            "num_iterations": finished["steps"],
            "tokens_trained": finished["tokens"],
            "param_data_ratio": finished["tokens"] / finished["params"],
            "val_bpb": finished["bits_per_byte"],
            "train_time_sec": finished["seconds"],
        }
    )


def _marin(row: dict[Any, Any]) -> dict[str, Any]:
    config = {name: row[name] for name in ("run_id", "n_layers", "d_model", "seq_len")}
    summary = {
        "parameter_count": row["params"],
        "throughput/total_tokens": row["tokens"],
        "throughput/total_gflops": row["flops"] / 1e9,
        "eval/held_out/bpb": row["bits_per_byte"],
    }
    return {"config": config, "summary": summary}
