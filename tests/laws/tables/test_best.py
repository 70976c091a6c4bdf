"""Sweeps in a table are noticed with their numbers, and the best of each cell can be kept."""

import numpy as np
import pandas as pd
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.errors import InputError

RATES = (1e-3, 2e-3, 4e-3)
BATCHES = (64, 128)


def best_rate(params):
    return 0.5 * params**-0.3


def grid():
    sizes, horizons = np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 4))
    params, tokens = sizes.ravel(), horizons.ravel()
    return pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": 1.7 + 400 / params**0.34 + 410 / tokens**0.28}
    )


def sweep():
    """Each cell at three rates and two batches; the loss rises away from the best rate."""
    parts = []
    for k, rate in enumerate((0.5, 1.0, 2.0)):
        for batch in BATCHES:
            excess = 1 + 0.02 * np.log(rate) ** 2 + (0.01 if batch == 64 else 0)
            part = grid().assign(lr=lambda t, r=rate: best_rate(t.params) * r, batch_size=batch)
            parts.append(part.assign(loss=part.loss * excess, run=f"{k}-{batch}"))
    return pd.concat(parts, ignore_index=True)


def test_a_sweep_is_noticed_with_its_numbers_and_columns():
    notes = " ".join(laws.fit(sweep(), bootstrap=0).diagnostics)
    assert "120 of 120 rows share their params and tokens with rows of another loss" in notes
    assert "differ from them in lr, batch_size: a sweep of 20 cells" in notes
    assert "by up to 1.96 %" in notes
    assert "--best-of lr,batch_size" in notes
    assert "objective lower-envelope" in notes
    low = laws.fit(sweep(), bootstrap=0, objective="lower-envelope")
    assert "or fit with the objective" not in " ".join(low.diagnostics)


@pytest.mark.parametrize(
    "table",
    [
        grid(),
        # Seeds repeat a run, and a rule gives each size one rate.
        pd.concat(
            [
                grid().assign(seed=0, lr=lambda t: best_rate(t.params)),
                grid().assign(
                    seed=1, lr=lambda t: best_rate(t.params), loss=lambda t: t.loss + 1e-3
                ),
            ],
            ignore_index=True,
        ),
        grid().assign(run_id=[f"r{k}" for k in range(20)], seconds=range(20)),
    ],
)
def test_what_is_no_sweep_has_no_note(table):
    assert "a sweep of" not in " ".join(laws.fit(table, bootstrap=0).diagnostics)


def test_a_setting_of_any_name_is_noticed():
    both = [grid().assign(alpha_mult=m, loss=lambda t, m=m: t.loss * m) for m in (1.0, 1.01)]
    notes = " ".join(laws.fit(pd.concat(both, ignore_index=True), bootstrap=0).diagnostics)
    assert "40 of 40 rows" in notes
    assert "differ from them in alpha_mult" in notes


@pytest.mark.parametrize("by", ["lr,batch_size", ("lr", "batch_size"), ["batch_size", "lr"]])
def test_the_best_of_each_cell_gives_the_law_of_the_best(by):
    best = sj.best_of(sweep(), by=by)
    assert len(best) == 20
    np.testing.assert_allclose(best.lr, best_rate(best.params))
    assert set(best.batch_size) == {128}
    fit = laws.fit(best, bootstrap=0)
    assert fit.params["alpha"] == pytest.approx(0.34, abs=1e-4)
    assert "a sweep of" not in " ".join(fit.diagnostics)


def test_a_setting_that_is_not_named_stays_apart():
    kept = sj.best_of(sweep(), by="lr")
    assert len(kept) == 40
    assert set(kept.batch_size) == set(BATCHES)


def test_rows_that_a_fit_leaves_out_stay_and_labels_stay(tmp_path):
    table = sweep().assign(status="finished")
    table.loc[0, ["loss", "status"]] = [np.nan, "diverged"]
    kept = sj.best_of(table, by="lr,batch_size")
    assert (kept.status == "diverged").sum() == 1
    assert len(kept) == 21
    table.to_csv(tmp_path / "sweep.csv", index=False)
    assert sj.best_of(tmp_path / "sweep.csv", by="lr,batch_size").index.name == "line"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("lrr", "no column 'lrr'.*did you mean 'lr'"),
        ("params", "reads the column 'params'"),
        ("", "needs the columns that were swept"),
    ],
)
def test_columns_that_were_not_swept_are_refused(by, words):
    with pytest.raises(InputError, match=words):
        sj.best_of(sweep(), by=by)


def test_a_law_of_the_best_setting_refuses_the_raw_sweep_and_takes_the_best():
    raw = sweep().rename(columns={"lr": "peak_lr"})
    for law in ("learning-rate", "batch-size"):
        table = raw.assign(batch_tokens=lambda t: t.batch_size * 1024)
        response = laws.LAWS[law].response
        with pytest.raises(InputError, match=f"120 of 120 rows.*--best-of {response}"):
            laws.fit(table, law=law, bootstrap=0)
    best = sj.best_of(raw, by="peak_lr,batch_size", law="learning-rate")
    fit = laws.fit(best, law="learning-rate", bootstrap=0)
    assert fit.params["n"] == pytest.approx(-0.3, abs=1e-6)
    assert fit.params["d"] == pytest.approx(0, abs=1e-6)


def test_a_law_of_the_critical_batch_refuses_a_sweep_of_batches():
    table = sweep().assign(batch_tokens=lambda t: t.batch_size * 1024)
    with pytest.raises(InputError, match="best batch_tokens"):
        laws.fit(table, law="kaplan-critical-batch", bootstrap=0)


def test_a_law_of_the_best_size_refuses_every_size_of_a_budget():
    flops = np.repeat([1e18, 1e19, 1e20], 5)
    params = np.tile(np.geomspace(0.25, 4, 5), 3) * (flops / 6 / 20) ** 0.5
    tokens = flops / 6 / params
    table = pd.DataFrame(
        {"params": params, "flops": flops, "loss": 1.7 + 400 / params**0.34 + 410 / tokens**0.28}
    )
    with pytest.raises(InputError, match="approach 2"):
        laws.fit(table, law="optimal-params", bootstrap=0)
    kept = sj.best_of(table, by="params", law="optimal-params")
    assert len(kept) == 3
    assert 0.3 < laws.fit(kept, law="optimal-params", bootstrap=0).params["p"] < 0.7


def test_a_fit_says_how_many_rows_the_best_of_each_cell_left_out():
    fit = laws.fit(sj.best_of(sj.best_of(sweep(), "lr"), "batch_size"), bootstrap=0)
    assert fit.n_dropped == {"not the best of their cell": 100}
    assert "Left out: 100 not the best of their cell." in str(fit)
    assert laws.Fit.from_json(fit.to_json()).n_dropped == fit.n_dropped
