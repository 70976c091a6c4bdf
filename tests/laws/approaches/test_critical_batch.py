"""Critical batches of curves and branches whose critical batch is known."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import KAPLAN_CRITICAL_BATCH

B_STAR, ALPHA_B = 2e5, 0.25
BATCHES = np.array([1e3, 4e3, 16e3, 64e3, 256e3])


def curves(noise=0.0, batches=BATCHES, seed=0, sizes=(1e6, 4e6)):
    """Curves of which each loss is reached in S_min (1 + B_crit / B) steps."""
    rng, rows = np.random.default_rng(seed), []
    for params in sizes:
        loss_P = np.linspace(5.0, 2.5, 60)
        steps_min_P = 2e3 * (params / 1e6) ** -0.2 * (loss_P - 1.5) ** -3
        for batch in batches:
            shift = np.exp(noise * rng.standard_normal())
            steps_P = shift * steps_min_P * (1 + B_STAR / loss_P ** (1 / ALPHA_B) / batch)
            rows += [
                {
                    "run_id": f"{params:g}-{batch:g}",
                    "params": params,
                    "step": steps,
                    "tokens": steps * batch,
                    "loss": loss,
                }
                for steps, loss in zip(steps_P, loss_P, strict=True)
            ]
    return pd.DataFrame(rows)


def test_constants_of_exact_curves_are_found():
    found = laws.critical_batch(curves(), targets=[4.0, 3.0])
    table = found.table.set_index(["params", "loss"])
    assert list(table.batches) == [5] * 4
    for (params, loss), row in table.iterrows():
        critical = B_STAR / loss ** (1 / ALPHA_B)
        steps = 2e3 * (params / 1e6) ** -0.2 * (loss - 1.5) ** -3
        # Between the points of a curve its loss is interpolated.
        assert row.critical_batch == pytest.approx(critical, rel=0.01)
        assert row.steps_min == pytest.approx(steps, rel=0.01)
        assert row.tokens_min == pytest.approx(steps * critical, rel=0.01)
    star, alpha = found.law["B_star"][0], found.law["alpha_B"][0]
    assert (star, alpha) == (pytest.approx(B_STAR, rel=0.05), pytest.approx(ALPHA_B, rel=0.02))
    assert found.at(3.3) == pytest.approx(
        float(KAPLAN_CRITICAL_BATCH.value([star, 1 / alpha], {"loss": 3.3}))
    )
    assert "alpha_B 0.2" in str(found)


def test_several_seeds_count_with_their_mean_and_not_with_the_fastest():
    def seeded(*shifts):
        tables = [
            curves().assign(
                seed=i, step=lambda t, s=s: t.step * s, tokens=lambda t, s=s: t.tokens * s
            )
            for i, s in enumerate(shifts)
        ]
        return pd.concat(each.assign(run_id=each.run_id + f"-{i}") for i, each in enumerate(tables))

    exact = laws.critical_batch(curves(), targets=[4.0]).table
    found = laws.critical_batch(seeded(0.5, 2.0), targets=[4.0]).table
    assert found.steps_min.to_numpy() == pytest.approx(exact.steps_min.to_numpy(), rel=1e-6)
    assert found.critical_batch.to_numpy() == pytest.approx(
        exact.critical_batch.to_numpy(), rel=0.01
    )


def test_a_batch_counts_where_every_seed_reaches_the_loss():
    short = curves(sizes=(1e6,)).assign(seed=1, run_id=lambda t: t.run_id + "-1")
    short = short[(short.loss > 3.5) | (short.run_id != "1e+06-1000-1")]
    both = pd.concat([curves(sizes=(1e6,)).assign(seed=0), short])
    found = laws.critical_batch(both, targets=[4.0, 3.0]).table
    assert list(found.batches) == [5, 4]


def test_intervals_cover_the_truth():
    covered = {"critical_batch": [], "steps_min": [], "B_star": [], "alpha_B": []}
    for seed in range(60):
        data = curves(noise=0.05, seed=seed, sizes=(1e6,))
        found = laws.critical_batch(data, targets=[4.0, 3.0])
        row = found.table.iloc[1]
        truths = {"critical_batch": B_STAR / 3.0**4, "steps_min": 2e3 * 1.5**-3}
        for name, truth in truths.items():
            covered[name].append(row[f"{name}_low"] <= truth <= row[f"{name}_high"])
        for name, truth in (("B_star", B_STAR), ("alpha_B", ALPHA_B)):
            covered[name].append(found.law[name][1] <= truth <= found.law[name][2])
    assert all(np.mean(covered[name]) >= 0.9 for name in ("critical_batch", "steps_min")), covered
    # A whole curve is shifted alike, so the exponent has almost no error.
    assert np.mean(covered["alpha_B"]) >= 0.85


@pytest.mark.parametrize(("batches", "end"), [(BATCHES / 1e4, "high"), (BATCHES * 1e4, "low")])
def test_batches_on_one_side_of_the_critical_one_bound_it_from_that_side_alone(batches, end):
    found = laws.critical_batch(curves(noise=0.02, batches=batches), targets=[3.0]).table
    assert set(found[f"critical_batch_{end}"]) == {np.inf if end == "high" else 0.0}
    unbounded, bounded = ("steps", "tokens") if end == "high" else ("tokens", "steps")
    assert set(found[f"{unbounded}_min_low"]) == {0.0}
    assert (found[f"{bounded}_min_high"] < 1.5 * found[f"{bounded}_min_low"]).all()


def test_the_fastest_of_several_runs_of_a_batch_counts_and_targets_are_chosen():
    data = curves()
    slow = data.assign(run_id="slow " + data.run_id, step=data.step * 2, tokens=data.tokens * 2)
    both = laws.critical_batch(pd.concat([data, slow]))
    pd.testing.assert_frame_equal(both.table, laws.critical_batch(data).table)
    assert sorted(set(both.table.loss)) == pytest.approx([2.5, 2.65625, 2.8125, 2.96875, 3.125])


@pytest.mark.parametrize(
    ("change", "targets", "message"),
    [
        (lambda data: data, [3.0, 1.2], r"no run reaches the target loss 1.2: the lowest .* 2.5"),
        (lambda data: data[data.tokens / data.step < 5e3], [3.0], "at most 2 batch sizes"),
        (lambda data: data.drop(columns="step"), 3, "lack the column 'step'"),
        (lambda data: data, 0, "0 target losses"),
    ],
)
def test_what_has_no_critical_batch_is_refused(change, targets, message):
    with pytest.raises(InputError, match=message):
        laws.critical_batch(change(curves()), targets=targets)


def branches(noise=0.0, seed=0, scale=3e4, rise=0.3):
    batch_K = 1e3 * 2.0 ** np.arange(8)
    rng = np.random.default_rng(seed)
    loss_K = 3.0 + rise * batch_K / (batch_K + scale) + noise * rng.standard_normal(8)
    return pd.DataFrame({"trunk": "a", "step": 10, "batch_tokens": batch_K, "loss": loss_K})


def test_the_largest_batch_is_where_the_loss_leaves_the_tolerance():
    table = branches()
    (row,) = laws.largest_batch(table, tolerance=0.02).to_dict("records")
    # 0.3 B / (B + 3e4) exceeds its value at 1,000 by 0.02 at this batch.
    level = 0.3 * 1e3 / 31e3 + 0.02
    truth = 3e4 * level / (0.3 - level)
    assert row["within"] <= truth < row["beyond"] == 2 * row["within"]
    assert row["critical_batch"] == pytest.approx(truth, rel=0.05)
    assert row["noise"] < 2e-4
    (whole,) = laws.largest_batch(table, tolerance=1.0).to_dict("records")
    assert (whole["within"], whole["high"]) == (128e3, np.inf)
    assert np.isnan(whole["beyond"])


def test_its_interval_covers_the_batch_without_noise():
    exact = laws.largest_batch(branches(), tolerance=0.03).critical_batch[0]
    rows = [laws.largest_batch(branches(0.003, s), tolerance=0.03).iloc[0] for s in range(30)]
    assert np.mean([row.low <= exact <= row.high for row in rows]) > 0.85
    assert np.median([row.noise for row in rows]) == pytest.approx(0.003, rel=0.5)


def test_repeats_are_averaged_and_few_branches_refused():
    table = pd.concat([branches(), branches().assign(loss=lambda t: t.loss + 0.01)])
    assert len(laws.largest_batch(table)) == 1
    with pytest.raises(InputError, match="cannot be estimated from three"):
        laws.largest_batch(branches()[:3])
    assert len(laws.largest_batch(branches()[:3], noise=0.0)) == 1
    with pytest.raises(InputError, match="step 10 of run a has a loss for 1"):
        laws.largest_batch(branches()[:1])
