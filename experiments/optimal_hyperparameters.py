"""Which learning rate and which batch are best for a size and a horizon?

Learning rates and batches are swept together at several sizes and numbers of tokens. The best rate
of each batch, and then the best batch, are those of parabolas in the logarithms. Laws of N and D
are fitted to them, beside the published ones: Step Law (Li et al. 2025, 2503.04715), DeepSeek LLM
(2401.02954) and Porian et al. 2024 (2406.19146).

    scaling-jax run experiments/optimal_hyperparameters.py --scale cpu --root results
    python experiments/optimal_hyperparameters.py results/optimal-hyperparameters-cpu best.svg

The second command prints the best settings of every cell and the exponents of the laws with their
intervals, and draws them. `full` reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterable

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    FixedModels,
    PowerLawLR,
    Recipe,
    Source,
    Study,
    Sweep,
    product,
    vary,
)

source = Source("Li et al. 2025", "2503.04715", "figure 1")


def sweep(
    models: FixedModels, rates: Iterable[float], reference: float, batches: Iterable[int]
) -> Sweep:
    """Every model under every rate and batch; a rate is that of `reference` parameters.

    Larger models try lower rates, by N^(-1/2), so that the best one lies inside each sweep.
    """
    tried = (PowerLawLR(value=rate, reference_params=reference, exponent=-0.5) for rate in rates)
    return Sweep(
        models,
        product(vary("batch_size", *map(ConstantBatch, batches)), vary("peak_lr", *tried)),
    )


def small(seq_len: int, eval_tokens: int) -> Recipe:
    """Bytes of the embedded text; the sweep sets the learning rate and the batch."""
    return Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=seq_len),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(8),
        eval_tokens=eval_tokens,
    )


def powers_of_two(first: float, n: int) -> list[float]:
    """`n` values from `first`, each twice the one before."""
    return [first * 2.0**i for i in range(n)]


study = Study(
    "optimal-hyperparameters",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=Family(vocab_size=32_000, seq_len=2048),
        peak_lr=ConstantLR(1e-3),
        batch_size=ConstantBatch(64),
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    sweep(
        FixedModels(params=(6e7, 1.2e8, 2.4e8, 4.8e8), tokens_per_param=(10.0, 20.0, 80.0)),
        powers_of_two(5e-4, 6),
        1.2e8,
        (32, 64, 128, 256, 512),
    ),
)

# Every size and batch is one compiled program, which all rates and horizons share.
cpu = Study(
    "optimal-hyperparameters-cpu",
    small(64, 131_072),
    sweep(
        FixedModels(params=(8e3, 16e3, 32e3), tokens_per_param=(10.0, 40.0)),
        powers_of_two(4e-3, 6),
        16e3,
        (2, 4, 8, 16, 32),
    ),
)

smoke = Study(
    "optimal-hyperparameters-smoke",
    small(32, 4096),
    sweep(
        FixedModels(params=(4e3, 6.6e3, 10e3), tokens_per_param=(2.0,)),
        powers_of_two(3e-2, 4),
        6e3,
        (8, 16, 32),
    ),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.hyperparameters import main

    main(*sys.argv[1:])
