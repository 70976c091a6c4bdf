"""Critical batches of a trained sweep, and of curves whose frontier is known."""

import dataclasses
import io
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws import KaplanFrontier
from scaling_jax.report.experiments.critical_batch import (
    BatchStudy,
    as_text,
    batch_figure,
    batch_study,
    main,
    target_losses,
)
from scaling_jax.study import FixedModels, Study

EXPERIMENT = Path(__file__).parents[3] / "experiments" / "kaplan_critical_batch.py"


def one_size():
    """The smoke scale with its smallest size alone: every size compiles programs of its own."""
    smoke = runpy.run_path(str(EXPERIMENT))["smoke"]
    branches, sweep = smoke.design.designs
    model = FixedModels(params=(2e3,), tokens_per_param=(4.0,))
    measured = dataclasses.replace(branches.design, design=model)
    design = dataclasses.replace(
        smoke.design,
        designs=(
            dataclasses.replace(branches, design=measured),
            dataclasses.replace(sweep, design=model),
        ),
    )
    return Study("one-size", smoke.recipe, design)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return one_size().run(tmp_path_factory.mktemp("root"))


def test_a_trained_sweep_gives_all_three_measurements(store, tmp_path, capsys):
    out = tmp_path / "critical.svg"
    main(str(store.directory), str(out))
    printed = capsys.readouterr().out
    # The smallest scale has one size here, and three batches at a checkpoint.
    assert "curves of 1 model sizes do not determine L(N, S_min)" in printed
    assert "cannot be estimated from three batches" in printed
    for text in ("gradient noise scale", "largest batch of the branches", "equation 5.1"):
        assert text in printed
    assert out.stat().st_size > 1000
    found = batch_study(store)
    # The measured run has the batch of the recipe, and its branches every batch of the sweep.
    batches = set(found.critical.points.batch_tokens)
    assert batches == {256, 512, 1024}
    assert np.isfinite(found.noise.loss).all()
    assert set(found.without) == {"minimum", "largest"}


def test_a_target_that_no_run_reaches_is_one_message(store, tmp_path):
    with pytest.raises(InputError, match=r"no run reaches the target loss 0\.5"):
        main(str(store.directory), str(tmp_path / "out.svg"), "0.5")
    with pytest.raises(InputError, match="targets low: give losses"):
        main(str(store.directory), str(tmp_path / "out.svg"), "low")


def known_curves():
    truth = KaplanFrontier(8.0, 0.12, 20.0, 0.6, 4e4, 3.0)
    rows = []
    for params in (1e4, 3e4, 9e4):
        for batch in (256, 1024, 4096, 16384):
            steps_P = np.geomspace(10, 2e3, 30)
            loss_P = truth.A / params**0.12 + truth.B / steps_P**0.6
            steps_P = steps_P * (1 + truth.critical_batch(1.0) / loss_P**3 / batch)
            table = pd.DataFrame({"step": steps_P, "tokens": steps_P * batch, "loss": loss_P})
            run = {"run_id": f"{params}-{batch}", "params": params, "params_non_embedding": params}
            rows.append(table.assign(**run))
    return pd.concat(rows, ignore_index=True)


def test_the_figure_shows_every_measurement_and_the_frontier():
    curves = known_curves()
    losses = target_losses(curves)
    ends = curves.groupby(["params", "run_id"]).loss.min().groupby("params")
    # Three batches of some size reach the lowest target.
    assert losses[-1] == pytest.approx(min(sorted(each)[2] for _, each in ends))
    critical, minimum = laws.critical_batch(curves, losses), laws.minimum_compute(curves, losses)
    noise = pd.DataFrame({"params": [1e4, 3e4], "loss": [4.0, 3.5], "tokens": [1e5, 1e6]})
    noise = noise.assign(noise_scale=1e3, noise_scale_low=[0, 500], noise_scale_high=2e3)
    largest = pd.DataFrame({"params": [1e4], "loss": [3.0], "tokens": [1e6]})
    largest = largest.assign(critical_batch=1e3, low=500.0, high=1500.0)
    found = BatchStudy(curves, critical, minimum, noise, largest)
    assert "scatter by 0" in as_text(found) or "e-" in as_text(found)
    figure = batch_figure(found)
    assert [axes.get_xlabel().partition(" ")[0] for axes in figure.axes] == [
        "tokens",
        "held-out",
        "tokens",
        "C_min",
    ]
    figure.savefig(io.BytesIO(), format="svg")
