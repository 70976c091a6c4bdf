"""A small run on a small text, shared by the training tests."""

import random
from pathlib import Path

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape

WORDS = "the a of to in and law loss token batch step model wide deep small large"


def write_text(path: Path, n_documents: int = 4000, seed: int = 0) -> Path:
    """Documents of random words, separated by blank lines."""
    rng = random.Random(seed)
    documents = (" ".join(rng.choices(WORDS.split(), k=60)) for _ in range(n_documents))
    path.write_text("\n\n".join(documents))
    return path


def small_run(text: Path, *, steps: int = 40, batch_size: int = 8, **changes) -> RunConfig:
    """A run of a few seconds."""
    shape = changes.pop("shape", {})
    optimizer = changes.pop("optimizer", {})
    dims = dict(n_layers=2, d_model=16, n_heads=2, d_ff=32, vocab_size=256, seq_len=32)
    return RunConfig(
        shape=Shape(**(dims | shape)),
        data=DataConfig(corpus=f"text:{text}", tokenizer="bytes"),
        optimizer=OptimizerConfig(**({"peak_lr": 1e-2, "warmup_steps": 5} | optimizer)),
        batch_size=batch_size,
        steps=steps,
        eval_tokens=2048,
        **changes,
    )
