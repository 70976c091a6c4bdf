"""Does the shape of a model matter at a fixed size?

After Kaplan et al. 2020 (arXiv 2001.08361), section 3.1 and figure 5. Shapes with the same number
of parameters without embeddings (within 2 %) differ in aspect ratio, in the number of heads or in
the ratio of the feed-forward width to the model's width. The paper finds a few percent between them
over a 40-fold range of aspect ratios.

    scaling-jax run experiments/kaplan_shapes.py --scale cpu --root results
    python experiments/kaplan_shapes.py results/kaplan-shapes-cpu shapes.svg

The second command prints and draws the loss of every shape relative to the best of its size, with
the small differences in size taken out. `full` reads C4 with the tokenizer of
`chinchilla_isoflop.py`.
"""

import sys

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    Proportions,
    Recipe,
    ShapeGrid,
    Source,
    Study,
    Sweep,
    vary,
)
from scaling_jax.study.plan.published_recipes import KAPLAN_TOKENS, kaplan_recipe

source = Source("Kaplan et al. 2020", "2001.08361", "figure 5")

study = Study(
    "kaplan-shapes",
    kaplan_recipe(),
    ShapeGrid(
        at=(50e6, 274e6, 1.5e9),
        tokens=(KAPLAN_TOKENS,),
        proportions=Proportions(aspects=(4, 8, 16, 32, 64, 128, 256)),
    ),
)

cpu = Study(
    "kaplan-shapes-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        # One rate for every shape: a rule of the total size would vary it with the width.
        peak_lr=ConstantLR(8e-3),
        batch_size=ConstantBatch(8),
        eval_tokens=131_072,
    ),
    Sweep(ShapeGrid(at=(15e3, 60e3), tokens=(5e5,)), vary("seed", 0, 1, 2)),
)

smoke = Study(
    "kaplan-shapes-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=ConstantLR(8e-3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    Sweep(
        ShapeGrid(
            at=(10e3,),
            tokens=(20e3,),
            proportions=Proportions(aspects=(4,), n_heads=(2, 4), ff_ratios=(1, 4)),
        ),
        vary("seed", 0, 1),
    ),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.kaplan_shapes import main

    main(*sys.argv[1:])
