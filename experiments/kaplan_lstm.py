"""Does the architecture matter at equal size? A transformer, an LSTM and a recurrent transformer.

Kaplan et al. 2020 (section 3.2.1, figure 7; appendix D.2) found that LSTMs predict the first tokens
of a context as well as transformers of equal non-embedding size and fall behind at later ones, and
that recurrent transformers are slightly better at equal size and slightly worse at equal compute.
All runs of a scale train on the same tokens; every architecture is tried at several learning rates.

    scaling-jax run experiments/kaplan_lstm.py --scale cpu --root results
    python experiments/kaplan_lstm.py results/kaplan-lstm-cpu kaplan_lstm.svg

The second command prints the best loss of every size, and draws the losses against size and, for
the largest size, against the position in the context.
"""

import sys
from collections.abc import Iterable

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family, ShapeTable
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    Recipe,
    ShapeGrid,
    Source,
    Study,
    Sweep,
    vary,
)

source = Source("Kaplan et al. 2020", "2001.08361", "figure 7")


def families(vocab_size: int, seq_len: int, passes: int, n_layers: int) -> tuple[Family, ...]:
    """Families that count parameters without embeddings, so that equal wishes are equal sizes."""

    def family(**choices: object) -> Family:
        common = dict(vocab_size=vocab_size, seq_len=seq_len, sized_by="non_embedding")
        return Family(**common | choices)  # type: ignore[arg-type]

    return (
        family(min_layers=n_layers, aspect=1e4),
        family(min_layers=n_layers, aspect=1e4, architecture="lstm"),
        family(min_layers=1, aspect=1e4, architecture="recurrent", passes=passes),
    )


def grid(
    kinds: Iterable[Family], sizes: tuple[float, ...], tokens: float, seeds: int = 1
) -> ShapeGrid:
    """The shape of every architecture nearest to each size, all on the same tokens."""
    shapes = tuple(kind.nearest(size) for kind in kinds for size in sizes)
    return ShapeGrid(shapes, (tokens,), seeds=seeds)


def at_rates(design: ShapeGrid, recipe: Recipe, *rates: float) -> tuple[Recipe, Sweep]:
    """The recipe, and the design at every peak learning rate."""
    return recipe, Sweep(design, vary("peak_lr", *map(ConstantLR, rates)))


def small(design: ShapeGrid, batch_size: int, eval_tokens: int) -> Recipe:
    """A recipe for bytes of the embedded text that keeps losses by position."""
    return Recipe(
        data=DataConfig("embedded", "bytes"),
        family=ShapeTable(design.shapes),
        peak_lr=ConstantLR(1e-2),
        batch_size=ConstantBatch(batch_size),
        eval_tokens=eval_tokens,
        eval_details=True,
    )


_full = grid(families(32_000, 1024, 6, 6), (3e6, 1e7, 3e7, 1e8), 5e9)
study = Study(
    "kaplan-lstm",
    *at_rates(
        _full,
        Recipe(
            data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
            family=ShapeTable(_full.shapes),
            peak_lr=ConstantLR(1e-3),
            batch_size=ConstantBatch(512),
            eval_tokens=8_388_608,
            eval_details=True,
        ),
        5e-4,
        1e-3,
        2e-3,
    ),
)

_cpu = grid(families(256, 128, 3, 2), (8e3, 2e4, 5e4), 1e6, seeds=2)
cpu = Study("kaplan-lstm-cpu", *at_rates(_cpu, small(_cpu, 8, 131_072), 5e-3, 1e-2, 2e-2, 4e-2))

_smoke = grid(families(256, 32, 2, 1), (2e3, 4e3, 8e3), 2e4)
smoke = Study("kaplan-lstm-smoke", *at_rates(_smoke, small(_smoke, 8, 4_096), 1e-2))

if __name__ == "__main__":
    from scaling_jax.report.experiments.architectures import main

    main(*sys.argv[1:])
