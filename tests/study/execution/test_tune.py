"""A ladder is tuned by a sweep that is extended, continued, bounded in cost, and checked."""

import json
import math
from dataclasses import replace

import pytest
from small_studies import RECIPE, small_study, write_fake_result

from scaling_jax.accounting.flops import count_params
from scaling_jax.errors import InputError
from scaling_jax.study import ConstantLR, FixedModels, IsoFlop, Study, TunedLR, Tuning
from scaling_jax.study.execution import tune as module
from scaling_jax.study.execution.tune import sweep_cost, tune
from scaling_jax.study.plan.tuning import tuning_study
from scaling_jax.study.status import tuning_text as text

SIZES = ((4e3, 8e3, 16e3), (5e3, 10e3, 20e3), (8e3, 16e3, 32e3))
# Tests simulate eight devices, over which every batch must divide.
BATCHES = (2.0, 3.0)
TUNING = Tuning(batch_factors=BATCHES)
LADDER = Study("ladder", RECIPE, IsoFlop((2e9, 8e9, 32e9), SIZES))


def best_rate(config):
    params = count_params(config.shape).active
    sizes = (params / 1e4) ** -0.4 * (config.tokens / 1e5) ** -0.3
    return 0.01 * sizes * (config.batch_size / 8) ** 0.5


@pytest.fixture
def trained(monkeypatch):
    """The runs that were trained, whose losses are those of a known law."""
    runs = []

    def train(stored, job):
        for run in stored:
            if run.result is None:
                config = run.planned.config
                off = math.log(config.optimizer.peak_lr / best_rate(config))
                # Noise of 1e-5 that each run keeps.
                noise = (int(run.run_id[:4], 16) / 65535 - 0.5) * 2e-5
                write_fake_result(run, loss=2 * math.exp(0.02 * off**2 + noise))
                runs.append(run)

    monkeypatch.setattr(module, "train_runs", train)
    return runs


def test_the_rule_is_the_law_of_the_best_rate_and_the_check_agrees(tmp_path, trained):
    tuned = tune(LADDER, tmp_path, TUNING, check=True)
    assert tuned.law.exponents == pytest.approx(
        {"params": -0.4, "tokens": -0.3, "batch_size": 0.5}, abs=0.01
    )
    assert tuned.flops <= LADDER.flops_spent / 3
    assert tuned.check is not None
    assert tuned.check.excess < 1e-4
    assert "a noise of 0.0" in text.tuned_text(tuned)
    # The rule works in a recipe, from its file and from what the command prints.
    rule = TunedLR.read(tuned.store.directory / "rule.json")
    assert rule == tuned.rule == eval(repr(tuned.rule), {"TunedLR": TunedLR})
    for run in tuned.study(LADDER).plan():
        assert run.config.optimizer.peak_lr == pytest.approx(best_rate(run.config), rel=0.02)
    # The same call trains nothing more.
    n = len(trained)
    assert tune(LADDER, tmp_path, TUNING, check=True).rule == tuned.rule
    assert len(trained) == n
    json.dumps(text.tuned_data(tuned))


def test_a_cell_whose_best_rate_is_at_an_end_is_extended_or_refused_by_name(tmp_path, trained):
    near, far = (
        Study("far", small_study(peak_lr=ConstantLR(rate)).recipe, LADDER.design)
        for rate in (7e-3, 1e-3)
    )
    tuned = tune(near, tmp_path / "extended", TUNING)
    assert len(trained) > len(tuning_study(near, TUNING).plan())
    assert tuned.flops <= LADDER.flops_spent / 3
    assert tuned.law.exponents["params"] == pytest.approx(-0.4, abs=0.02)
    with pytest.raises(
        InputError, match=r"at or beyond the largest of its sweep, .* after 0 extensions"
    ):
        tune(near, tmp_path / "not", replace(TUNING, extensions=0))
    with pytest.raises(InputError, match=r"two more rates would take the sweep to .*raise --share"):
        tune(far, tmp_path / "dear", TUNING)


def test_the_cost_is_known_before_and_a_share_that_pays_for_too_little_is_refused():
    cost = sweep_cost(LADDER, Tuning(), check=True)
    assert 0.05 < cost["sweep"] <= 0.85 / 3
    assert "at most 33% where cells are extended; the check" in text.cost_text(
        LADDER, Tuning(), True
    )
    with pytest.raises(InputError, match=r"1% of the .* do not pay for sweeps of 3 cells"):
        tuning_study(LADDER, Tuning(share=0.01))
    with pytest.raises(InputError, match="trains one size"):
        tuning_study(Study("one", RECIPE, FixedModels((5e3,), (5, 20))), Tuning())
    with pytest.raises(InputError, match="rates 2 must be at least 3"):
        Tuning(rates=2)
    with pytest.raises(InputError, match="spacing 1 must be above 1"):
        Tuning(spacing=1.0)


def test_a_ladder_on_one_ray_is_swept_off_it():
    ray = Study("ray", RECIPE, FixedModels((4e3, 8e3, 16e3, 32e3), (20,)))
    cells = tuning_study(ray, Tuning(batch_factors=())).design.cells
    ratios = [cell.tokens / count_params(cell.shape).active for cell in cells]
    assert max(ratios) > 1.5 * min(ratios)
    assert len({cell.shape for cell in cells}) > 1


def test_a_file_that_is_no_rule_is_refused(tmp_path):
    path = tmp_path / "rule.json"
    with pytest.raises(InputError, match="cannot read"):
        TunedLR.read(path)
    path.write_text('{"is": "ConstantLR", "value": 1.0}')
    with pytest.raises(InputError, match="holds no TunedLR"):
        TunedLR.read(path)
