"""Does the best learning rate stay the same as models grow? Standard, muP and CompleteP.

Peak learning rates are swept at several widths of one depth and at several depths of one width,
under the standard parameterization and under CompleteP, which is muP when only the width changes
(Yang et al. 2022, 2203.03466; Dey et al. 2025, 2505.01618). All runs of a scale train on the same
tokens.

    scaling-jax run experiments/lr_transfer.py --scale cpu --root results
    python experiments/lr_transfer.py results/lr-transfer-cpu lr_transfer.svg

The second command draws loss against learning rate and prints the best rates. `full` reads C4 with
the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterable

from scaling_jax.config import DataConfig, Shape
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    Recipe,
    ShapeGrid,
    ShapeTable,
    Source,
    Study,
    Sweep,
    product,
    vary,
)

source = Source("Yang et al. 2022", "2203.03466", "figure 1")


def shapes(
    widths: Iterable[int], depths: Iterable[int], head_dim: int, vocab_size: int, seq_len: int
) -> tuple[Shape, ...]:
    """Shapes of every width at the smallest depth, and of every depth at the smallest width."""
    widths, depths = sorted(widths), sorted(depths)
    sizes = [(width, depths[0]) for width in widths]
    sizes += [(widths[0], depth) for depth in depths[1:]]
    return tuple(
        Shape(
            n_layers=depth,
            d_model=width,
            n_heads=width // head_dim,
            d_ff=4 * width,
            vocab_size=vocab_size,
            seq_len=seq_len,
        )
        for width, depth in sizes
    )


def sweep(models: tuple[Shape, ...], tokens: float, rates: Iterable[float]) -> Sweep:
    """A sweep of every learning rate under both parameterizations; the base is the first model."""
    base = models[0]
    completep = Parameterization("completep", base.d_model, base.head_size, base.n_layers)
    return Sweep(
        ShapeGrid(models, (tokens,)),
        product(vary("parameterization", STANDARD, completep), vary("peak_lr", *rates)),
    )


def small(models: tuple[Shape, ...], eval_tokens: int) -> Recipe:
    """A recipe that trains on bytes of the embedded text; the sweep sets its learning rate."""
    return Recipe(
        data=DataConfig("embedded", "bytes"),
        family=ShapeTable(models),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(8),
        eval_tokens=eval_tokens,
    )


def powers_of_two(first: int, last: int) -> list[float]:
    """The powers of two from 2^first to 2^last."""
    return [2.0**exponent for exponent in range(first, last + 1)]


_full = shapes((256, 512, 1024, 2048), (4, 8, 16, 32), 64, vocab_size=32_000, seq_len=2048)
study = Study(
    "lr-transfer",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=ShapeTable(_full),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(128),
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    sweep(_full, 2e9, powers_of_two(-12, -4)),
)

_cpu = shapes((24, 48, 96, 192), (2, 4, 8, 16), 12, vocab_size=256, seq_len=64)
cpu = Study(
    "lr-transfer-cpu",
    small(_cpu, 65_536),
    sweep(_cpu, 131_072, powers_of_two(-10, -4)),
)

_smoke = shapes((16, 24, 32), (2, 4), 8, vocab_size=256, seq_len=32)
smoke = Study(
    "lr-transfer-smoke",
    small(_smoke, 4096),
    sweep(_smoke, 1e4, powers_of_two(-8, -6)),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.transfer import main

    main(*sys.argv[1:])
