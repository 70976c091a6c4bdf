"""The loss that a cosine schedule longer than the run costs.

After Hoffmann et al. 2022 (arXiv 2203.15556), figure A1. Three models are trained to one horizon
each, under cosines whose cycle is 1, 1.1, 1.25, 1.5, 2 and 5 times the run. The paper finds that a
cycle up to a quarter too long does little harm and a longer cycle does clear harm. Therefore
section 3.1 warns against taking the loss in the middle of a longer cosine as the loss of a shorter
run.

    scaling-jax run experiments/cosine_overshoot.py --scale cpu --root results
    python experiments/cosine_overshoot.py results/cosine-overshoot-cpu overshoot.svg

The second command prints and draws the loss at each length relative to the loss at the matching
length. `full` reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys

from scaling_jax.config import DataConfig
from scaling_jax.shapes import CHINCHILLA_SHAPES, Family
from scaling_jax.study import (
    ConstantBatch,
    FixedModels,
    HoffmannLR,
    PowerLawLR,
    Recipe,
    ShapeTable,
    Source,
    Study,
    Sweep,
    vary,
)

source = Source("Hoffmann et al. 2022", "2203.15556", "figure A1")

CYCLES = (1.0, 1.1, 1.25, 1.5, 2.0, 5.0)
variations = vary("optimizer_knobs.cycle", *CYCLES)

study = Study(
    "cosine-overshoot",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=ShapeTable(CHINCHILLA_SHAPES),
        peak_lr=HoffmannLR(),
        batch_size=ConstantBatch(256),  # half a million tokens
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    Sweep(FixedModels(params=(70e6, 230e6, 950e6), tokens_per_param=(20.0,)), variations),
)

cpu = Study(
    "cosine-overshoot-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=0.03, reference_params=20e3, exponent=-0.5),
        batch_size=ConstantBatch(16),
        eval_tokens=131_072,
    ),
    Sweep(FixedModels(params=(12e3, 24e3, 48e3), tokens_per_param=(40.0,)), variations),
)

smoke = Study(
    "cosine-overshoot-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    Sweep(FixedModels(params=(4e3, 6.6e3, 10e3), tokens_per_param=(4.0,)), variations),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.overshoot import main

    main(*sys.argv[1:])
