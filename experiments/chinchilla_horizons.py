"""Fixed model sizes, each trained to several horizons, and the envelope of the training curves.

After Hoffmann et al. 2022 (arXiv 2203.15556), section 3.1. Each model is trained four times, to
horizons (numbers of tokens) that span a factor of 16. Every run has its own cosine schedule, which
ends at the run's last step. The envelope of all curves gives the frontier (approach 1, figure 2).

`full` takes sizes from 70M to over 10B parameters of table A9, and reads C4 with the tokenizer of
`chinchilla_isoflop.py`. The text of the paper is not public. C4 is smaller, so the longest horizons
of the three largest models read C4 more than once (at most about three times).

    scaling-jax plan experiments/chinchilla_horizons.py --hardware v5p
    scaling-jax run experiments/chinchilla_horizons.py --scale cpu --root results
"""

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
)

source = Source("Hoffmann et al. 2022", "2203.15556", "figure 2")

# Tokens per parameter: a range around the published optimum of about 20.
horizons = (2.5, 6.3, 15.9, 40.0)

study = Study(
    "chinchilla-horizons",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model", repeat=True),
        family=ShapeTable(CHINCHILLA_SHAPES),
        peak_lr=HoffmannLR(),
        batch_size=ConstantBatch(256),  # half a million tokens
        optimizer_knobs={"beta2": 0.95, "weight_decay": 0.1},
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    FixedModels(
        params=(70e6, 130e6, 230e6, 460e6, 950e6, 1.9e9, 3.8e9, 6.5e9, 11e9),
        tokens_per_param=horizons,
    ),
)

# The same horizons for models of tens of thousands of parameters, on bytes of the embedded text.
cpu = Study(
    "chinchilla-horizons-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(16),
        eval_tokens=131_072,
    ),
    FixedModels(
        # Approach 1 uses the sizes between the smallest and the largest, and needs three of them.
        params=(20e3, 27e3, 36e3, 48e3, 65e3, 87e3, 115e3),
        tokens_per_param=horizons,
    ),
)

smoke = Study(
    "chinchilla-horizons-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    FixedModels(params=(4e3, 6.6e3, 10e3, 15e3, 20e3), tokens_per_param=(1.0, 2.8, 8.0)),
)
