"""Bad tables are refused, with the wrong cell named; good ones are read as they are."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import power_sum_named
from scaling_jax.laws.tables.check import checked, repeated
from scaling_jax.laws.tables.compute import infer_budgets
from scaling_jax.laws.tables.read import load_table, read_table
from scaling_jax.laws.tables.select import clusters, usable_rows

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
        ("params,tokens,loss\n1,2,3,4\n5,6,7,8,9\n", ["CSV", "line 2", "4 cells"]),
        ("params,tokens,loss\n1e6,2e7,3,4\n2e6,4e7,3,4\n", ["CSV", "line 2"]),
        ("params,tokens,loss\n\n1e6,2e7,3\n\n1e6,2e7,x\n", ["line 5", "loss"]),
        ("params,tokens,loss,loss\n1e6,2e7,3,3\n", ["'loss'", "more than once"]),
        (
            "params,tokens,loss,weight\n1e6,2e7,3,1\n2e6,2e7,3,-1\n",
            ["line 3", "weight", "at least 0"],
        ),
        ("params,tokens,loss,weight\n1e6,2e7,3,nan\n", ["line 2", "weight"]),
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


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffparams,tokens,loss\n1e6,2e7,3.5\n2e6,4e7,3.25\n",
        "\n\n params , tokens, loss \n\n1e6, 2e7, 3.5\n2e6,4e7,3.25,,\n ,\n",
        '"params","tokens","loss"\r\n1e6,2e7,"3.5"\r\n2e6,4e7,3.25\r\n',
    ],
)
def test_spreadsheets_habits_change_nothing(tmp_path, text):
    rows = usable_rows(read_table(write(tmp_path, text)))
    assert rows.params.tolist() == [1e6, 2e6]
    assert rows.loss.tolist() == [3.5, 3.25]


def test_rows_know_where_they_stand(tmp_path):
    read = read_table(write(tmp_path, "params,tokens,loss\n1,2,3\n\n4,5,6\n"))
    assert usable_rows(read).label.tolist() == ["line 2", "line 4"]
    frame = pd.DataFrame({"params": [1.0], "tokens": [2.0], "loss": [3.0]}, index=["small"])
    assert usable_rows(checked(frame)).label.tolist() == ["row small"]


def test_seeds_of_one_run_are_no_repeats(tmp_path):
    frame = pd.DataFrame({"params": 1e6, "tokens": 1e8, "loss": 3.0, "seed": [0, 1]})
    assert repeated(checked(frame)) == ""
    # What did not finish has no loss to be counted twice.
    planned = frame.drop(columns="seed").assign(status=["planned", "planned"])
    assert repeated(checked(planned)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params,tokens,loss\n1e6,2e7,3\n2e6,2e7,3\n1e6,2e7,3\n", "line 2 and line 4"),
        ("params,tokens,loss\n1e6,2e7,3\n\n1e6,2e7,3.00\n", "line 2 and line 4"),
        (",params,tokens,loss\n0,1e6,2e7,3\n1,1e6,2e7,3\n", "line 2 and line 3"),
    ],
)
def test_rows_that_repeat_others_in_numbers_repeat_them(tmp_path, text, words):
    assert words in repeated(read_table(write(tmp_path, text)))


def test_rows_that_repeat_others_are_questioned_and_fitted_by_every_way_in(tmp_path):
    rng = np.random.default_rng(0)
    params, tokens = np.exp(rng.uniform(np.log([1e7, 1e9]), np.log([1e9, 1e11]), (42, 2))).T
    loss = 1.7 + 400 / params**0.34 + 410 / tokens**0.28
    once = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    twice = pd.concat([once, once.head(3)], ignore_index=True)
    assert "row 0" not in laws.fit(once, bootstrap=0).diagnostics[0]
    twice.to_csv(tmp_path / "twice.csv", index=False)
    twice.to_parquet(tmp_path / "twice.parquet")
    own = tmp_path / "own.py"
    own.write_text(
        "def law(params, tokens, *, E=(0.5, 3), A=(10, 1e4), B=(10, 1e4), a=(0.1, 1), b=(0.1, 1)):"
        "\n    return E + A / params**a + B / tokens**b\n"
    )
    for table, pair in (
        (twice, "row 0 and row 42"),
        (tmp_path / "twice.parquet", "row 0 and row 42"),
        (tmp_path / "twice.csv", "line 2 and line 44"),
    ):
        for law in ("chinchilla", f"{own}:law"):
            fit = laws.fit(table, law=law, bootstrap=0)
            assert fit.n_points == 45
            assert (
                f"{pair} are the same in every column (and 2 more repeat others)"
                in fit.diagnostics[0]
            )


def test_rows_of_weight_zero_do_not_count(tmp_path):
    text = "params,tokens,loss,weight\n1e6,2e7,3.5,0\n2e6,4e7,3.25,\n3e6,4e7,3.1,2\n"
    rows = usable_rows(read_table(write(tmp_path, text)))
    assert rows.weight.tolist() == [1, 2]
    assert rows.dropped == {"of weight 0": 1}
    with pytest.raises(InputError, match="weight 0"):
        usable_rows(read_table(write(tmp_path, text)).assign(weight=0.0))


def test_blank_cells_of_optional_columns_are_filled_in():
    frame = pd.DataFrame(
        {
            "params": [1e6, 2e6],
            "tokens": 1e8,
            "loss": 3.0,
            "flops": [None, 1.3e15],
            "budget": [None, 1e15],
            "params_non_embedding": [None, 1e6],
        }
    )
    rows = usable_rows(checked(frame))
    # The row without FLOPs is counted as the other is.
    assert rows.flops.tolist() == pytest.approx([6.5e14, 1.3e15])
    assert rows.budget.tolist() == pytest.approx([6.5e14, 1.3e15])
    with pytest.raises(InputError, match="row 0, column 'params_non_embedding' is blank"):
        usable_rows(checked(frame), "non_embedding")


@pytest.mark.parametrize(
    ("runs", "words"),
    [(["a", ""], "row 1, column 'run_id'"), (["a", None], "row 1"), (["a", "a"], "every row")],
)
def test_ragged_clusters_are_refused_by_name(runs, words):
    frame = pd.DataFrame({"params": [1e6, 2e6], "tokens": 1e8, "loss": 3.0, "run_id": runs})
    with pytest.raises(InputError, match=words):
        clusters(usable_rows(checked(frame)))


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


def test_tables_of_any_law_are_checked_alike(tmp_path):
    named = write(tmp_path, "flops,loss,weight\n1e18,3.1,1\n\n1e19,2.8,-1\n")
    with pytest.raises(InputError, match=r"line 4, column 'weight'.*at least 0"):
        load_table(named, power_sum_named("saturating-flops"))
    counts = {"flops": [1e18, 1e19], "loss": [3.1, 2.8], "weight": [1, 0]}
    law = power_sum_named("saturating-flops")
    assert usable_rows(load_table(counts, law), law=law).dropped == {"of weight 0": 1}
