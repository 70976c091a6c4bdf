"""The same small ladder on four kinds of data: are the exponents the same?

Prose, tunes in ABC notation, images as rows of grey levels and sound as mu-law samples, each
trained with one recipe, the same shapes and the same budgets. Henighan et al. 2020 found exponents
of the optimal size near 0.7 for every kind of data that they trained on. The learning rates are
those of the demo, tuned on prose alone. Each kind has a law and a floor of its own:

    scaling-jax run experiments/modalities.py --scale cpu --root results
    python experiments/modalities.py results/modalities-cpu modalities.svg

The second command fits L(N, D) to each kind, prints the exponents with their intervals, also by
each of the three approaches of Hoffmann et al. 2022 (as table A2), and draws what each kind adds to
its floor. `full` reads the prose from C4.
"""

import sys

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ComputeLR,
    ConstantBatch,
    IsoFlop,
    Recipe,
    Source,
    Study,
    Sweep,
    around,
    vary,
    zipped,
)

source = Source("Henighan et al. 2020", "2010.14701", "figure 1")


def sweep(design: IsoFlop, prose: str, tunes: int, images: int, seconds: int) -> Sweep:
    """The budgets and sizes of `design` on each kind of data, with amounts of what is generated."""
    kinds = {
        prose: "bytes",
        f"music:tunes?tunes={tunes}": "bytes",
        f"images:shapes?images={images}": "tokens",
        f"sound:notes?seconds={seconds}": "tokens",
    }
    corpora, tokenizers = vary("data.corpus", *kinds), vary("data.tokenizer", *kinds.values())
    return Sweep(design, zipped(corpora, tokenizers))


def recipe(seq_len: int, batch_size: int, eval_tokens: int, prose: str = "embedded") -> Recipe:
    """One recipe for all kinds of data; each has at most 256 token ids."""
    return Recipe(
        data=DataConfig(prose, "bytes"),
        family=Family(vocab_size=256, seq_len=seq_len),
        peak_lr=ComputeLR(value=1.7e-2, reference_flops=2e11, exponent=-0.3),
        batch_size=ConstantBatch(batch_size),
        eval_tokens=eval_tokens,
    )


def ladder(budgets: tuple[float, ...], params: float, n: int, seeds: int = 1) -> IsoFlop:
    """Sizes within a factor of 4 of the optimum that the demo found for prose."""
    sizes = around(budgets, params=params, at=budgets[0], exponent=0.5, width=4, n=n)
    return IsoFlop(budgets, sizes, seeds=seeds)


_full = (1e15, 4e15, 1.6e16)
study = Study(
    "modalities",
    recipe(512, 32, 2_097_152, "tfds:c4/en"),
    sweep(ladder(_full, 2e6, 7), "tfds:c4/en", 6_000_000, 4_000_000, 250_000),
)

_cpu = (7.5e10, 1.5e11, 3e11, 6e11)
cpu = Study(
    "modalities-cpu",
    recipe(128, 8, 131_072),
    sweep(ladder(_cpu, 15e3, 5, seeds=2), "embedded", 80_000, 50_000, 3_200),
)

_smoke = (1e9, 2e9, 4e9)
smoke = Study(
    "modalities-smoke",
    recipe(32, 8, 4_096),
    sweep(IsoFlop(_smoke, sizes=((6e3, 10e3, 15e3),) * 3), "embedded", 3_000, 2_000, 120),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.modalities import main

    main(*sys.argv[1:])
