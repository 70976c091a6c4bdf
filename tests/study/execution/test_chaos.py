"""A short form of benchmarks/chaos.py: after faults of many kinds the records are the same."""

import importlib.util
import random
import sys
import time
from pathlib import Path

import pytest
from small_studies import losses

from scaling_jax.study import Store

HERE = Path(__file__).parents[1]
CHAOS = HERE.parents[1] / "benchmarks" / "chaos.py"

EXPERIMENT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from small_studies import small_study
study = small_study()
"""


@pytest.fixture
def chaos(monkeypatch):
    spec = importlib.util.spec_from_file_location("chaos", CHAOS)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "chaos", module)
    spec.loader.exec_module(module)
    return module


def until(act, study):
    """Try a fault until it is possible, while the study runs."""
    while not act():
        assert study.keep_running()
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_after_faults_of_many_kinds_the_records_are_the_same(finished, tmp_path, chaos):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(EXPERIMENT)
    study = chaos.Supervised(experiment, tmp_path / "root", 2, random.Random(0))
    faults = dict(study.faults())
    study.keep_running()
    kinds = ("checkpoint cut short", "metrics overwritten", "result cut short")
    for kind in (*kinds, "everything SIGKILL"):
        until(faults[kind], study)
    for kind in ("checkpoint overwritten", "history cut short"):
        assert faults[kind]()
    study.finish()
    assert losses(Store.open(study.root)) == losses(finished)
    assert chaos.compare(finished, Store.open(study.root)) == []
    # Nothing of what was damaged is left behind as if it were whole.
    assert {run.state for run in Store.open(study.root).runs()} == {"finished"}
