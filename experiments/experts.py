"""Mixtures of experts and dense models: IsoFLOP curves at equal active parameters.

Each budget is 6 N D, where N is the number of parameters that one token uses. The same sizes and
tokens are trained as a dense model and as mixtures of 4 and 8 experts, of which a token uses one
(Fedus et al. 2022, 2101.03961). All models are trained under muP with one learning rate. For `cpu`
and `smoke` the rate was tuned to a factor of two for all three families at 33 thousand active
parameters; the rate of `full` is not tuned.

    scaling-jax run experiments/experts.py --scale cpu --root results
    python experiments/experts.py results/experts-cpu experts.svg

The second command prints the lowest loss of each budget and number of experts, and draws the
curves. `full` reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterable

from scaling_jax.config import DataConfig
from scaling_jax.config.parameterization import Parameterization
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    IsoFlop,
    Recipe,
    Source,
    Study,
    Sweep,
    around,
    vary,
)

source = Source("Fedus et al. 2022", "2101.03961", "figure 1")

N_EXPERTS = (1, 4, 8)


def families(vocab_size: int, seq_len: int) -> tuple[Family, ...]:
    """The families of the dense models and of the two mixtures."""
    return tuple(Family(vocab_size, seq_len, n_experts=n) for n in N_EXPERTS)


def sweep(design: IsoFlop, of: Iterable[Family]) -> Sweep:
    """A sweep that trains the budgets and sizes of `design` with every family."""
    return Sweep(design, vary("family", *of))


def small(family: Family, batch_size: int, eval_tokens: int) -> Recipe:
    """A recipe that trains on bytes of the embedded text."""
    return Recipe(
        data=DataConfig("embedded", "bytes"),
        family=family,
        peak_lr=ConstantLR(0.02),
        batch_size=ConstantBatch(batch_size),
        parameterization=Parameterization("mup", base_d_model=32, base_head_dim=16),
        eval_tokens=eval_tokens,
    )


_full, _budgets = families(32_000, 2048), (6e18, 3e19, 1.5e20)
study = Study(
    "experts",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=_full[0],
        peak_lr=ConstantLR(4e-3),
        batch_size=ConstantBatch(256),
        precision="bfloat16",
        parameterization=Parameterization("mup", base_d_model=256, base_head_dim=32),
        eval_tokens=8_388_608,
    ),
    sweep(
        IsoFlop(_budgets, around(_budgets, params=2e8, at=6e18, exponent=0.49, width=3.5, n=7)),
        _full,
    ),
)

_cpu, _small = families(256, 128), (1e11, 2e11, 4e11)
cpu = Study(
    "experts-cpu",
    small(_cpu[0], 16, 131_072),
    sweep(IsoFlop(_small, around(_small, params=14e3, at=1e11, exponent=0.49, width=2, n=3)), _cpu),
)

_smoke = families(256, 32)
smoke = Study(
    "experts-smoke",
    small(_smoke[0], 8, 4096),
    sweep(IsoFlop(budgets=(1e9, 2e9, 4e9), sizes=((6e3, 10e3, 15e3),) * 3), _smoke),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.experts import main

    main(*sys.argv[1:])
