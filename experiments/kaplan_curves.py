"""How fast do models of each size learn, and when should training stop?

After Kaplan et al. 2020 (arXiv 2001.08361), equation 1.6, figures 2, 4 and 19, and appendix B.
Models of several sizes are trained at one batch for the same number of steps. L(N, S) is fitted to
their held-out curves. The paper finds that larger models need fewer tokens to reach a loss, and
that training with the least compute stops 10 % above the converged loss.

    scaling-jax run experiments/kaplan_curves.py --scale cpu --root results
    python experiments/kaplan_curves.py results/kaplan-curves-cpu curves.svg

The second command prints the law with its optimum at this batch, the tokens to several losses at
each size and what training to near convergence costs, and draws the curves. Given the results of
`kaplan_size_and_data.py` as well, after the figure's name, it prints where L(C) meets L(D(C))
(section 6.3). `full` reads C4 with the tokenizer of
`chinchilla_isoflop.py`.
"""

import sys

from scaling_jax.config import DataConfig
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
    vary,
)
from scaling_jax.study.plan.published_recipes import KAPLAN_FAMILY, KAPLAN_TOKENS, kaplan_recipe

source = Source("Kaplan et al. 2020", "2001.08361", "figure 4")


def grid(family: Family, sizes: tuple[float, ...], tokens: float) -> ShapeGrid:
    """Every size on the same number of tokens."""
    return ShapeGrid(tuple(family.nearest(size) for size in sizes), (tokens,))


study = Study(
    "kaplan-curves",
    kaplan_recipe(
        eval_every=LogSpaced(60, start=0.01),
        curve_tokens=1_048_576,
    ),
    grid(KAPLAN_FAMILY, (5e6, 1.7e7, 6e7, 1.2e8, 4.2e8, 1.5e9), KAPLAN_TOKENS),
)

_small = Family(vocab_size=256, seq_len=128)
cpu = Study(
    "kaplan-curves-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=_small,
        peak_lr=PowerLawLR(value=8e-3, reference_params=20e3),
        batch_size=ConstantBatch(8),
        # At a constant rate, each point of a curve is the end of a run of that length.
        optimizer_knobs={"schedule": "constant"},
        eval_tokens=32_768,
        eval_every=LogSpaced(25, start=0.02),
        curve_tokens=32_768,
    ),
    Sweep(grid(_small, (8e3, 16e3, 32e3, 64e3, 128e3), 2.5e6), vary("seed", 0, 1)),
)

_tiny = Family(vocab_size=256, seq_len=32)
smoke = Study(
    "kaplan-curves-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=_tiny,
        peak_lr=PowerLawLR(value=2e-2, reference_params=60e3),
        batch_size=ConstantBatch(8),
        optimizer_knobs={"schedule": "constant"},
        eval_tokens=4096,
        eval_every=LogSpaced(10, start=0.05),
        curve_tokens=4096,
    ),
    grid(_tiny, (4e3, 6.6e3, 10e3), 1e5),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.kaplan_curves import main

    main(*sys.argv[1:])
