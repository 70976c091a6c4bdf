"""The demo's study: four budgets on the text that ships with the package, for a few CPU minutes.

    scaling-jax plan experiments/demo.py
    scaling-jax run experiments/demo.py --root results

Bytes are the tokens, so nothing needs to be fetched or trained first.
"""

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, IsoFlop, PowerLawLR, Recipe, Study, Warmup, around

recipe = Recipe(
    data=DataConfig(corpus="embedded", tokenizer="bytes"),
    family=Family(vocab_size=256, seq_len=128),
    peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
    batch_size=ConstantBatch(16),
    warmup=Warmup(share=0.05, floor=10, ceiling=2000),
    eval_tokens=131_072,
)

budgets = (1e11, 2.5e11, 6.3e11, 1.6e12)
sizes = around(budgets, params=30e3, at=1e11, exponent=0.5, width=3, n=5)

study = Study("demo", recipe, IsoFlop(budgets, sizes))
cpu = study

# Four sizes for all budgets, because compiling a size takes longer than training it here.
smoke = Study(
    "demo-smoke",
    Recipe(
        data=recipe.data,
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=recipe.peak_lr,
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    IsoFlop(budgets=(1e9, 2e9, 4e9), sizes=((4e3, 6.6e3, 10e3, 15e3),) * 3),
)
