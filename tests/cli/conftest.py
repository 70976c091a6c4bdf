import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from scaling_jax.cli import main
from scaling_jax.config import DataConfig
from scaling_jax.runs.curve import smoothed_loss
from scaling_jax.runs.result import write_result
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Store, StoredRun, Study
from scaling_jax.study.store import history
from tests.made_up import made_up_result

BUDGETS = (1e12, 4e12, 1.6e13)
SIZES = (30e3, 60e3, 120e3, 240e3, 480e3)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*args: object) -> Outcome:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Outcome(code, *capsys.readouterr())

    return run


def law(params: float, tokens: float) -> float:
    return 1.5 + 30 / params**0.35 + 60 / tokens**0.32


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Losses by a known law with a little scatter, as a .csv file."""
    rows = []
    for number, budget in enumerate(BUDGETS):
        for params in SIZES:
            tokens = budget / 6 / params
            scatter = 1 + 1e-3 * math.sin(7 * number + params)
            rows.append((params, tokens, law(params, tokens) * scatter, budget))
    path = tmp_path / "losses.csv"
    frame = pd.DataFrame(rows, columns=["params", "tokens", "loss", "budget"])
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def study() -> Study:
    recipe = Recipe(
        data=DataConfig("embedded", "bytes", repeat=True),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=ConstantLR(3e-3),
        batch_size=ConstantBatch(256),
    )
    return Study("trial", recipe, IsoFlop(BUDGETS, (SIZES,) * len(BUDGETS)))


@pytest.fixture
def store(study: Study, tmp_path: Path) -> Store:
    """A store in which every run but the last three is over, without having been trained."""
    store = Store.create(tmp_path / "root", study)
    runs = store.runs()
    for run in runs[:-3]:
        _finish(run, "finished")
    _finish(runs[-3], "diverged")
    history.record(runs[-2].directory, "failed", reason="RuntimeError: out of memory")
    return store


@pytest.fixture
def finish() -> Callable[[StoredRun, str], None]:
    return _finish


def _finish(run: StoredRun, status: Any) -> None:
    config = run.planned.config
    params = run.planned.flops / 6 / config.tokens
    loss = law(params, config.tokens) if status == "finished" else None
    lines = [
        {"step": step, "tokens": tokens, "loss": law(params, tokens)}
        for step in range(1, config.steps + 1)
        for tokens in [step * config.tokens_per_step]
    ]
    end = None if loss is None else smoothed_loss([line["loss"] for line in lines])
    result = made_up_result(config, loss, status=status, packages={"jax": "0.10.2"}, train_loss=end)
    write_result(run.directory, result, config)
    (run.directory / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
