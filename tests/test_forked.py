"""A process that was forked after JAX had been used says so at once instead of waiting for ever."""

import subprocess
import sys

import pytest

PROGRAM = """
import os
import numpy as np
import scaling_jax as sj
from scaling_jax.config import DataConfig, OptimizerConfig
from scaling_jax.errors import InputError
from scaling_jax.train import train_run

n_N, d_N = np.geomspace(1e6, 1e8, 12), np.geomspace(1e9, 1e8, 12)[np.arange(12) * 5 % 12]
table = {"params": n_N, "tokens": d_N, "loss": 1.7 + 400 / n_N**0.34 + 410 / d_N**0.28}

def fit():
    return sj.fit(table, bootstrap=0)

def train():
    shape = sj.Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=256, seq_len=16)
    config = sj.RunConfig(shape, DataConfig(), OptimizerConfig(1e-3, 1), 2, 4, 64)
    train_run(config, "run", progress=False)

first, then = FIRST, THEN
if first is not None:
    first()
child = os.fork()
if child == 0:
    try:
        then()
        print("the child has ended")
    except InputError as error:
        print(error)
    os._exit(0)
os.waitpid(child, 0)
"""


def outcome(first, then, tmp_path):
    program = PROGRAM.replace("FIRST", first).replace("THEN", then)
    command = [sys.executable, "-W", "ignore", "-u", "-c", program]
    return subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True
    ).stdout


@pytest.mark.parametrize("then", ["fit", "train"])
def test_a_process_forked_after_a_fit_is_refused_at_once(tmp_path, then):
    printed = outcome("fit", then, tmp_path)
    assert "had used JAX, whose threads do not survive a fork: start processes by spawn" in printed
    assert not (tmp_path / "run").exists()


def test_a_process_forked_before_any_fit_fits(tmp_path):
    assert outcome("None", "fit", tmp_path) == "the child has ended\n"
