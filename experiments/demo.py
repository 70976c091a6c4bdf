"""The study of `scaling-jax demo`: four budgets on the text that ships with the package.

    scaling-jax plan experiments/demo.py
    scaling-jax run experiments/demo.py --root results

The tokens are bytes, so no tokenizer has to be trained. `scaling-jax demo` also predicts a larger
model and trains it; `scaling_jax/demo.py` defines its budgets and sizes.
"""

from scaling_jax.config import DataConfig
from scaling_jax.demo import demo_study
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, IsoFlop, PowerLawLR, Recipe, Source, Study

source = Source("Hoffmann et al. 2022", "2203.15556", "figure 3")

study = demo_study()
cpu = study

# Four sizes for all budgets, because compiling a size takes longer than training it here.
smoke = Study(
    "demo-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    IsoFlop(budgets=(1e9, 2e9, 4e9), sizes=((4e3, 6.6e3, 10e3, 15e3),) * 3),
)
