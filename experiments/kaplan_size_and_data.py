"""How much does a model overfit, given its size and its data?

After Kaplan et al. 2020 (arXiv 2001.08361), section 4 and figures 4 and 9. Models of several sizes
are trained on several numbers of unique tokens, for the same number of steps, and stopped where
their held-out loss is least. The paper fits L(N, D) of equation 1.5 to these least losses, and
finds that the overfitting depends on N^(alpha_N / alpha_D) / D alone.

    scaling-jax run experiments/kaplan_size_and_data.py --scale cpu --root results
    python experiments/kaplan_size_and_data.py results/kaplan-size-and-data-cpu overfitting.svg

The second command prints the law, the data that each size needs and the steps at which runs were
stopped beside their bound (equation 5.7), and draws losses and overfitting. `full` has the
dropout of the paper and reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys

from scaling_jax.config import DataConfig
from scaling_jax.config.dropout import Dropout
from scaling_jax.config.evaluation import LogSpaced
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    PowerLawLR,
    Recipe,
    ShapeGrid,
    Source,
    Study,
    Sweep,
    product,
    vary,
)
from scaling_jax.study.plan.published_recipes import KAPLAN_FAMILY, KAPLAN_TOKENS, kaplan_recipe

source = Source("Kaplan et al. 2020", "2001.08361", "figure 9")


def grid(family: Family, sizes: tuple[float, ...], tokens: float) -> ShapeGrid:
    """Every size on the same number of tokens, repeats counted."""
    return ShapeGrid(tuple(family.nearest(size) for size in sizes), (tokens,))


study = Study(
    "kaplan-size-and-data",
    kaplan_recipe(
        eval_every=LogSpaced(60, start=0.005),
        curve_tokens=1_048_576,
        dropout=Dropout.everywhere(0.1),
    ),
    Sweep(
        grid(KAPLAN_FAMILY, (1.7e7, 3e7, 6e7, 1.2e8, 4.2e8, 7.5e8), KAPLAN_TOKENS),
        vary(
            "data.unique_tokens",
            *(21_000_000, 43_000_000, 86_000_000, 172_000_000, 344_000_000, 688_000_000),
            *(1_400_000_000, 22_000_000_000),
        ),
    ),
)

_small = Family(vocab_size=256, seq_len=128)
cpu = Study(
    "kaplan-size-and-data-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=_small,
        peak_lr=PowerLawLR(value=8e-3, reference_params=20e3),
        batch_size=ConstantBatch(8),
        # At a constant rate, the lowest loss does not depend on where in a schedule it falls.
        optimizer_knobs={"schedule": "constant"},
        eval_tokens=65_536,
        eval_every=LogSpaced(30, start=0.01),
        curve_tokens=16_384,
    ),
    Sweep(
        grid(_small, (12e3, 24e3, 48e3, 96e3), 1.5e6),
        product(
            vary("seed", 0, 1),
            vary("data.unique_tokens", 16_000, 32_000, 64_000, 128_000, 512_000, None),
        ),
    ),
)

_tiny = Family(vocab_size=256, seq_len=32)
smoke = Study(
    "kaplan-size-and-data-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=_tiny,
        peak_lr=PowerLawLR(value=2e-2, reference_params=60e3),
        batch_size=ConstantBatch(8),
        optimizer_knobs={"schedule": "constant"},
        eval_tokens=4096,
        eval_every=LogSpaced(8, start=0.05),
        curve_tokens=4096,
    ),
    Sweep(
        grid(_tiny, (4e3, 6.6e3, 10e3), 1e5),
        vary("data.unique_tokens", 1000, 4000, 20_000, None),
    ),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.kaplan_size_and_data import main

    main(*sys.argv[1:])
