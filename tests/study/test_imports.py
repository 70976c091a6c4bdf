"""A study is described and planned without loading JAX."""

import subprocess
import sys

PLANNED = """
import sys
import scaling_jax.study as sj
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family

recipe = sj.Recipe(
    data=DataConfig("synthetic:markov?characters=500000"),
    family=Family(vocab_size=256, seq_len=32),
    peak_lr=sj.ConstantLR(1e-2),
    batch_size=sj.ConstantBatch(8),
    eval_tokens=4096,
)
study = sj.Study("planned", recipe, sj.IsoFlop((2e9,), ((5e3, 10e3),)))
assert len(study.plan()) == 2
print([name for name in ("jax", "pandas", "matplotlib") if name in sys.modules])
"""


def test_planning_a_study_loads_no_jax():
    command = [sys.executable, "-c", PLANNED]
    planned = subprocess.run(command, capture_output=True, text=True, check=True)
    assert planned.stdout.strip() == "[]"


def test_the_functions_that_train_are_found_on_first_use():
    import scaling_jax.study as study
    from scaling_jax.study.execution.execute import run_study

    assert study.run_study is run_study
    assert "train_runs" in dir(study)
