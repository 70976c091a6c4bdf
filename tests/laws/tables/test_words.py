"""Text columns are read in full, whatever their type, and unknown words are refused."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.select import usable_rows
from scaling_jax.laws.tables.words import roles, states, texts

DTYPES = ["object", "str", "string", "category"]


def runs(**columns):
    n = len(next(iter(columns.values())))
    frame = pd.DataFrame({"params": np.linspace(1e6, 2e6, n), "tokens": 1e8, "loss": 3.0})
    return frame.assign(**columns)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_missing_cell_cuts_no_text(dtype):
    cells = pd.Series(["verification", None, " grid ", "grid"]).astype(dtype)
    assert texts(cells).tolist() == ["verification", "", "grid", "grid"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_verification_run_is_left_out_where_another_row_has_no_role(dtype):
    role = pd.Series(["grid", "verification", None]).astype(dtype)
    rows = usable_rows(checked(runs(role=role)))
    assert (len(rows), rows.dropped) == (2, {"verification": 1})


@pytest.mark.parametrize("dtype", DTYPES)
def test_runs_keep_their_names_where_one_is_missing(dtype):
    run_id = pd.Series(["run-one", "run-two", None]).astype(dtype)
    assert usable_rows(checked(runs(run_id=run_id))).run_id.tolist() == ["run-one", "run-two", ""]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_blank_status_counts_where_the_row_has_a_loss(dtype):
    status = pd.Series(["finished", None, None, "diverged"]).astype(dtype)
    rows = usable_rows(checked(runs(status=status, loss=[3.0, 2.9, None, None])))
    assert rows.loss.tolist() == [3.0, 2.9]
    assert rows.dropped == {"without a loss": 1, "diverged": 1}


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("done", "finished"),
        (" Finished ", "finished"),
        ("COMPLETED", "finished"),
        ("success", "finished"),
        ("crashed", "failed"),
        ("Out-of_memory", "failed"),
        ("NaN", "diverged"),
        ("in progress", "running"),
        ("queued", "planned"),
        ("canceled", "cancelled"),
        ("leased", "leased"),
    ],
)
def test_common_words_for_a_state_are_understood(word, state):
    assert states(pd.DataFrame({"status": [word]})).tolist() == [state]


@pytest.mark.parametrize(
    ("column", "word", "near"), [("status", "finishd", "finish"), ("role", "verfication", "verif")]
)
def test_an_unknown_word_is_refused_with_the_nearest(column, word, near):
    with pytest.raises(InputError, match=f"row 1, column '{column}'.*{word}.*did you mean '{near}"):
        checked(runs(**{column: ["", word]}))


def test_roles_and_states_are_blank_where_the_table_has_none():
    assert roles(runs(loss=[3.0])).tolist() == states(runs(loss=[3.0])).tolist() == [""]


def test_what_a_fit_does_not_use_is_not_judged():
    frame = runs(
        loss=[3.0, -1.0, np.inf, 2.8, 2.7],
        tokens=[1e8, 1e8, np.nan, 1e8, 1e8],
        status=["done", "failed", "diverged", "done", "done"],
        role=["grid", "grid", "grid", "verification", "grid"],
        params_active=["many"] * 5,
    )
    rows = usable_rows(checked(frame))
    assert rows.loss.tolist() == [3.0, 2.7]
    with pytest.raises(InputError, match="row 0, column 'params_active': 'many' is not"):
        usable_rows(checked(frame), "active")


def test_notes_of_a_frame_that_was_not_checked_read_the_same_words():
    frame = pd.DataFrame({"budget": 1e18, "status": ["done", None], "loss": [3.0, None]})
    assert laws.missing_runs(frame) == ["Runs without a loss were left out: 1 of 2 at 1e+18 FLOPs."]
