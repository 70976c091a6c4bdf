"""Bad tables are refused by name; good ones are read as they are."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.table import checked, infer_budgets, read_table, usable_rows

GOOD = "params,tokens,loss\n1e6,2e7,3.5\n2e6,4e7,3.25\n"


def write(tmp_path, text, name="losses.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("params,tokens,loss\n", ["no rows"]),
        ("params,tokens\n1e6,2e7\n", ["loss", "params, tokens"]),
        ("params,tokens,loss\n1e6,2e7,3.5\n1e6,abc,3.5\n", ["line 3", "tokens", "abc"]),
        ("params,tokens,loss\n-1e6,2e7,3.5\n", ["line 2", "params", "-1e6"]),
        ("params,tokens,loss\n0,2e7,3.5\n", ["line 2", "params"]),
        ("params,tokens,loss\n1e6,2e7,nan\n", ["line 2", "loss", "nan"]),
        ("params,tokens,loss\n1e6,inf,3\n", ["line 2", "tokens", "inf"]),
        ("params,tokens,loss\n1e6,2e7,\n", ["line 2", "loss"]),
        ("params,tokens,loss,flops\n1e6,2e7,3,x\n", ["line 2", "flops", "x"]),
        ("params,tokens,loss\n1,2,3,4\n5,6,7,8,9\n", ["CSV"]),
        (b"params,tokens,loss\n1e6,2e7,3\xff\n", ["UTF-8"]),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_table(write(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_and_a_strange_ending_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="txt"):
        read_table(write(tmp_path, GOOD, "losses.txt"))
    with pytest.raises(InputError, match="Parquet"):
        read_table(write(tmp_path, GOOD, "losses.parquet"))


def test_csv_and_parquet_hold_the_same(tmp_path):
    from_csv = read_table(write(tmp_path, GOOD))
    from_csv.to_parquet(tmp_path / "losses.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "losses.parquet"), from_csv)


def test_other_columns_ride_along(tmp_path):
    table = read_table(write(tmp_path, "name,params,tokens,loss\nfirst,1,2,3\n"))
    assert table["name"].tolist() == ["first"]


def test_flops_default_to_six_n_d(tmp_path):
    rows = usable_rows(read_table(write(tmp_path, GOOD)))
    np.testing.assert_allclose(rows.flops, [6 * 1e6 * 2e7, 6 * 2e6 * 4e7])


def test_unfinished_runs_and_verifications_are_left_out_and_counted():
    frame = pd.DataFrame(
        {
            "params": [1e6, 2e6, 3e6, 4e6, 5e6],
            "tokens": 1e8,
            "loss": [3.0, None, None, 2.5, 2.4],
            "status": ["finished", "diverged", "planned", "finished", "finished"],
            "role": ["grid", "grid", "grid", "grid", "verification"],
        }
    )
    rows = usable_rows(checked(frame))
    assert rows.params.tolist() == [1e6, 4e6]
    assert rows.dropped == {"diverged": 1, "planned": 1, "verification": 1}


def test_a_finished_run_without_a_loss_is_an_error():
    frame = pd.DataFrame({"params": [1e6], "tokens": [1e8], "loss": [None], "status": ["finished"]})
    with pytest.raises(InputError, match="loss"):
        checked(frame)


def test_no_finished_run_at_all_is_an_error():
    frame = pd.DataFrame({"params": [1e6], "tokens": [1e8], "loss": [None], "status": ["failed"]})
    with pytest.raises(InputError, match="failed"):
        usable_rows(checked(frame))


def test_the_count_chooses_the_column():
    frame = pd.DataFrame(
        {"params": [2e6], "params_non_embedding": [1e6], "tokens": [1e8], "loss": [3.0]}
    )
    assert usable_rows(checked(frame), "non_embedding").params.tolist() == [1e6]
    with pytest.raises(InputError, match="params_active"):
        usable_rows(checked(frame), "active")
    with pytest.raises(InputError, match="did you mean 'total'"):
        usable_rows(checked(frame), "totl")


def test_budgets_are_inferred_where_flops_fall_into_groups():
    rng = np.random.default_rng(0)
    nominal = np.repeat([1e18, 3e18, 1e19], 5)
    flops = nominal * rng.uniform(0.97, 1.03, 15)
    budgets = infer_budgets(flops)
    assert len(np.unique(budgets)) == 3
    np.testing.assert_allclose(budgets, nominal, rtol=0.03)


def test_no_budgets_are_invented_where_flops_are_spread():
    assert infer_budgets(np.geomspace(1e18, 1e21, 60)) is None
