"""The exponents between the studies of Kaplan and Hoffmann, where the losses follow a known law."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.laws import LAWS
from scaling_jax.report.experiments.reconciliation import (
    exponent,
    exponent_figure,
    exponent_table,
    exponents,
)
from scaling_jax.report.experiments.reconciliation_counting import count_alone, counted_exponents
from scaling_jax.report.experiments.reconciliation_losses import STEPS, losses_by_step
from scaling_jax.study import PlannedRun, load_experiment

LAW = dict(LAWS["chinchilla"].published["besiroglu-2024"])
BUDGETS = np.geomspace(1e11, 4e12, 4)
TRUE_A = LAW["beta"] / (LAW["alpha"] + LAW["beta"])
EXPERIMENT = Path(__file__).parents[3] / "experiments" / "reconciliation.py"

OUTER = np.geomspace(1.5e3, 1.2e6, 16)
TOTAL = OUTER + 1024 * np.sqrt(OUTER / 24)  # two layers and a head of 1,024 tokens


def loss(params, tokens):
    return LAW["E"] + LAW["A"] / params ** LAW["alpha"] + LAW["B"] / tokens ** LAW["beta"]


def study_of_the_law() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and curves of a study whose losses follow the law whatever the recipe."""
    records, curves = [], []
    for recipe in ("long warm-up", "short warm-up", "tuned"):
        for outer, total in zip(OUTER, TOTAL, strict=True):
            run = f"{recipe} {total:.0f}"
            tokens = np.geomspace(1e3, 4 * BUDGETS[-1] / (6 * total), 400)
            sizes = {"params": total, "params_non_embedding": outer}
            records.append({"run_id": run, "variation": recipe, "tokens": tokens[-1]} | sizes)
            curves.append(
                pd.DataFrame({"run_id": run, "tokens": tokens, "loss": loss(total, tokens)})
            )
    for budget in BUDGETS:
        for outer, total in zip(OUTER, TOTAL, strict=True):
            tokens = budget / (6 * total)
            sizes = {"params": total, "params_non_embedding": outer}
            own = {"run_id": f"{budget} {total}", "variation": "matched cosine", "budget": budget}
            records.append(own | sizes | {"tokens": tokens, "loss": loss(total, tokens)})
    return pd.DataFrame(records).assign(status="finished", seed=0), pd.concat(curves)


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    records, curves = study_of_the_law()
    monkeypatch.setattr("scaling_jax.study.collect", lambda store: records)
    monkeypatch.setattr("scaling_jax.study.curves", lambda store, of: curves)
    monkeypatch.setattr(
        "scaling_jax.report.experiments.reconciliation_losses._smoothed", lambda loss_S: loss_S
    )
    return losses_by_step(SimpleNamespace())


def test_only_the_count_changes_the_exponent_of_losses_that_follow_one_law(losses):
    found = exponents(losses, draws=50)
    counted = counted_exponents(losses)
    assert list(found) == [step.name for step in STEPS]
    for step in STEPS[1:]:
        assert found[step.name].a == pytest.approx(TRUE_A, abs=0.01)
    alone = counted["law of Besiroglu et al. 2024"]
    assert alone["head counted"] == pytest.approx(TRUE_A, abs=0.002)
    assert alone["Kaplan"] > TRUE_A + 0.1
    assert found["Kaplan"].a == pytest.approx(alone["Kaplan"], abs=0.03)
    assert counted["law of these runs"]["Kaplan"] == pytest.approx(alone["Kaplan"], abs=0.01)


def test_the_table_of_losses_has_the_count_of_each_step(losses):
    kaplan = losses[losses["variation"] == "Kaplan"]
    assert np.allclose(kaplan["params"], kaplan["params_non_embedding"])
    rest = losses[losses["variation"] != "Kaplan"]
    assert np.allclose(rest["params"], rest["params_total"])
    assert np.allclose(6 * losses["params"] * losses["tokens"], losses["budget"])
    assert np.allclose(losses["loss"], loss(losses["params_total"], losses["tokens"]), rtol=1e-4)


def test_the_figure_and_the_table_have_every_step(losses):
    found = exponents(losses, draws=50)
    (axes,) = exponent_figure(found, {"Kaplan": 0.7, "head counted": 0.5}).axes
    assert [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()] == list(found)
    assert list(exponent_table(found)["step"]) == list(found)


def test_a_study_without_its_grid_is_refused(losses, monkeypatch):
    records, _ = study_of_the_law()
    monkeypatch.setattr("scaling_jax.study.collect", lambda store: records.assign(status="failed"))
    with pytest.raises(InputError, match="no run with a matched cosine has finished"):
        losses_by_step(SimpleNamespace())


def test_noise_that_budgets_share_is_in_the_interval():
    """Runs whose whole curve is shifted: the interval holds the exponent about as often as 90 %."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(60):
        rows = [
            {"run_id": f"{size:.0f}", "params": size, "params_total": size, "budget": budget}
            | {"loss": loss(size, budget / (6 * size)) * np.exp(shift)}
            for size, shift in zip(np.geomspace(1e4, 3e5, 9), rng.normal(0, 0.003, 9), strict=True)
            for budget in np.geomspace(1e11, 1e12, 5)
        ]
        found = exponent(pd.DataFrame(rows), draws=200)
        assert found is not None
        held += found.ends[0] <= TRUE_A <= found.ends[1]
    assert 48 <= held <= 60


def test_the_count_alone_has_the_local_exponent_of_pearce_and_song():
    alpha, beta, omega = LAW["alpha"], LAW["beta"], 5000.0
    outer = np.geomspace(1e2, 1e8, 200)
    total = outer + omega * np.cbrt(outer)
    x = 1e5
    third = np.cbrt(x) ** 2
    # Their equation for 1 / g at the optimal size x.
    inverse = 1 - (third + omega / 9) / (third + omega / 3) / beta
    inverse += (alpha + 1) / beta * (third + omega / 3) / (third + omega)
    size = x + omega * np.cbrt(x)
    share = alpha * LAW["A"] * (1 + omega / 3 / third) * x / size ** (1 + alpha)
    tokens = (beta * LAW["B"] / share) ** (1 / beta)
    spent = 6 * size * tokens
    local, _ = count_alone(LAW, outer, total, (spent / 1.5, spent * 1.5))
    assert local == pytest.approx(1 / inverse, abs=0.01)


@pytest.fixture(scope="module")
def planned() -> dict[str, list[PlannedRun]]:
    runs: dict[str, list[PlannedRun]] = {}
    for run in load_experiment(EXPERIMENT, "cpu").plan():
        runs.setdefault(str(run.variation), []).append(run)
    return runs


def rate(config: RunConfig, step: int) -> float:
    return config.optimizer.peak_lr * min(1, (step + 1) / config.optimizer.warmup_steps)


def test_the_first_switch_changes_the_warm_up_alone(planned):
    longs = {(run.config.shape, run.config.seed): run.config for run in planned["long warm-up"]}
    assert len(longs) == len(planned["long warm-up"])
    tokens = {run.optimizer.warmup_steps * run.tokens_per_step for run in longs.values()}
    assert max(tokens) == pytest.approx(4e5, rel=0.01)
    for run in planned["short warm-up"]:
        short, own = run.config.optimizer, longs[run.config.shape, run.config.seed]
        params = count_params(run.config.shape).total
        assert abs(short.warmup_steps * run.config.tokens_per_step - params) <= 512
        # Both reach the same rate at the same rise, or end before they do.
        first = rate(own, 0) / 6e-3
        assert first == pytest.approx(own.tokens_per_step / 4e5, rel=0.01)
        assert (own.batch_size, own.seed) == (run.config.batch_size, run.config.seed)
        assert replace(short, warmup_steps=1, peak_lr=1, cycle=1) == replace(
            own.optimizer, warmup_steps=1, peak_lr=1, cycle=1
        )


def test_a_cosine_ends_with_its_run_in_the_grid_alone(planned):
    assert {run.config.optimizer.cycle for run in planned["matched cosine"]} == {1.0}
    assert {run.config.optimizer.schedule for run in planned["tuned"]} == {"constant"}
    for name in ("long warm-up", "short warm-up"):
        ends = {round(r.config.optimizer.cycle * r.config.tokens) for r in planned[name]}
        assert max(ends) - min(ends) <= 2
        assert min(run.config.optimizer.cycle for run in planned[name]) >= 3.9
