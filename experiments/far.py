"""A ladder of small runs predicts a run of thirty times the compute of its largest rung.

The ladder is an IsoFLOP study. Its learning rate follows a law that `scaling-jax tune` found, the
weights are averaged over the last twentieth of each run, and the smallest budgets are trained with
several seeds. `run` trains the ladder, stores the forecast of the large run, trains the large run
and prints both:

    scaling-jax plan experiments/far.py --scale cpu
    scaling-jax run experiments/far.py --scale cpu --root results

Hoffmann et al. 2022 (arXiv 2203.15556), section 3.4, chose their large run by laws of small ones.
Such a law holds only if the recipe does. Marin's first Delphi ladder of 2026 fitted its small runs
and missed a run at 33 times the compute by 2.5 %, because its learning rate did not fall with the
length of training.

The large run of `cpu` reads the text that ships with the package once. So it has more parameters
and fewer tokens than the optimum. `full` reads C4, with a SentencePiece model of 8,192 pieces that
is made as in `chinchilla_isoflop.py`. Its learning rate has the exponents that were found on bytes;
tune it first.
"""

from scaling_jax.config import DataConfig
from scaling_jax.demo import FLOOR, TUNED_RATE
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    Extrapolation,
    IsoFlop,
    Recipe,
    Source,
    Study,
    TunedLR,
    around,
)

source = Source("Hoffmann et al. 2022", "2203.15556", "section 3.4")

_full = (1e16, 3e16, 1e17, 3e17)
study = Study(
    "far",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_8k.model"),
        family=Family(vocab_size=8192, seq_len=1024),
        peak_lr=TunedLR(3e-3, 1e7, 2e8, 64.0, -0.39286, -0.32601, 0.73203),
        batch_size=ConstantBatch(64),
        optimizer_knobs={"average_share": 0.05},
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    Extrapolation(
        IsoFlop(
            _full,
            around(_full, params=9e6, at=1e16, exponent=0.5, width=2.5, n=5),
            seeds=(3, 2, 1, 1),
        ),
        budget=1e19,
        params=2.8e8,
    ),
)

# The budgets and sizes of the demo, and one budget more below them.
_cpu = (3e10, 7.5e10, 1.89e11, 4.76e11, 1.2e12)
cpu = Study(
    "far-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=TUNED_RATE,
        batch_size=ConstantBatch(8),
        optimizer_knobs={"average_share": 0.05},
        eval_tokens=524_288,
        seed=300,
    ),
    Extrapolation(
        IsoFlop(
            _cpu,
            around(_cpu, params=15e3, at=7.5e10, exponent=0.5, width=2.52, n=5),
            seeds=(3, 3, 2, 1, 1),
        ),
        budget=3.6e13,
        params=4.8e5,
        floor=FLOOR,
    ),
)

# Small batches, so that runs of a second have hundreds of steps.
_smoke = (1e9, 2e9, 4e9)
smoke = Study(
    "far-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=TunedLR(0.03, 8e3, 2e4, 2.0, -0.4, -0.3, 0.5),
        batch_size=ConstantBatch(2),
        optimizer_knobs={"average_share": 0.05},
        eval_tokens=4_096,
    ),
    Extrapolation(
        IsoFlop(_smoke, sizes=((4e3, 6.6e3, 10e3, 15e3),) * 3, seeds=(2, 1, 1)),
        budget=3e10,
        params=2.5e4,
    ),
)
