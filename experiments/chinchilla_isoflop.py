"""IsoFLOP curves: several sizes at each of several compute budgets, and their minima.

After Hoffmann et al. 2022 (arXiv 2203.15556), section 3.2 and figure 3. `full` has the nine
published budgets and the fifty shapes of table A9. `full` reads C4 with a SentencePiece model of
32,000 pieces. These commands make both:

    tfds build c4/en --file_format=array_record
    python -c "
    from pathlib import Path
    from scaling_jax.data import load_corpus, train_sentencepiece
    sample = load_corpus('tfds:c4/en?split=train[:200000]')
    Path('tokenizers').mkdir(exist_ok=True)
    train_sentencepiece(sample, 32_000, Path('tokenizers/c4_32k.model'))"

The text of the paper is not public. C4 is smaller, about 1.6e11 tokens, so small models of the two
largest budgets read C4 more than once, at most two and a half times. The published models have a
fifth attention matrix, which the models here do not have, so sizes are slightly below the table's.

    scaling-jax plan experiments/chinchilla_isoflop.py --hardware v5p
    scaling-jax run experiments/chinchilla_isoflop.py --scale cpu --root results
"""

from scaling_jax.config import DataConfig
from scaling_jax.shapes import CHINCHILLA_SHAPES, Family
from scaling_jax.study import (
    ConstantBatch,
    HoffmannLR,
    IsoFlop,
    PowerLawLR,
    Recipe,
    ShapeTable,
    Source,
    Study,
    around,
)

source = Source("Hoffmann et al. 2022", "2203.15556", "figure 3")

# Sizes lie within a factor of 3.5 of the published optimum: 400M parameters at 1.84e19
# FLOPs (table A3, approach 2), growing as C^0.49.
budgets = (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21)
sizes = around(budgets, params=400e6, at=1.84e19, exponent=0.49, width=3.5, n=9)

study = Study(
    "chinchilla-isoflop",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model", repeat=True),
        family=ShapeTable(CHINCHILLA_SHAPES),
        peak_lr=HoffmannLR(),
        batch_size=ConstantBatch(256),  # half a million tokens
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    IsoFlop(budgets, sizes),
)

# The same design at budgets 1e7 times smaller, on bytes of the embedded text.
_small = (1.25e11, 2.5e11, 5e11, 1e12)
cpu = Study(
    "chinchilla-isoflop-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(16),
        eval_tokens=131_072,
    ),
    IsoFlop(_small, around(_small, params=32e3, at=1.25e11, exponent=0.49, width=3.5, n=5)),
)

# Four sizes for all budgets, because compiling a size takes longer than training it here.
smoke = Study(
    "chinchilla-isoflop-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    IsoFlop(budgets=(1e9, 2e9, 4e9), sizes=((4e3, 6.6e3, 10e3, 15e3),) * 3),
)
