"""A study of seconds on a generated text, shared by the tests of studies."""

import json
from dataclasses import replace

from scaling_jax import data
from scaling_jax.config import DataConfig
from scaling_jax.runs.result import Result, write_result
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Study

RECIPE = Recipe(
    data=DataConfig("synthetic:markov?characters=500000"),
    family=Family(vocab_size=256, seq_len=32),
    peak_lr=ConstantLR(1e-2),
    batch_size=ConstantBatch(8),
    eval_tokens=4096,
)
SIZES = (5e3, 10e3)


def small_study(*budgets, name="small", **changes):
    """Two sizes at each budget; by default four runs of a few hundred steps."""
    budgets = budgets or (2e9, 4e9)
    return Study(name, replace(RECIPE, **changes), IsoFlop(budgets, (SIZES,) * len(budgets)))


def write_fake_result(run, **changes):
    """Make `run` over without training it."""
    config = run.planned.config
    text = data.prepare(config.data.corpus, config.data.tokenizer, progress=False)
    known = dict(
        status="finished",
        steps=config.steps,
        tokens=config.tokens,
        unique_tokens=config.tokens,
        loss=2.0,
        loss_stderr=0.01,
        bits_per_byte=2.9,
        train_loss=2.1,
        tokens_per_second=1e5,
        data_fingerprint=text.fingerprint,
        device="cpu",
    )
    result = Result(**(known | changes))
    write_result(run.directory, result, config)
    if result.train_loss is not None:
        write_curve(run, result.steps, result.train_loss)


def write_curve(run, steps, loss):
    """The curve of a run with the same loss at each step."""
    each = run.planned.config.tokens_per_step
    rows = [{"step": k, "tokens": each * k, "loss": loss} for k in range(1, steps + 1)]
    (run.directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def losses(store):
    return {run.run_id: run.result.loss for run in store.runs()}
