"""What is a repeated token worth?

After Muennighoff et al. 2023 (arXiv 2305.16264), figures 3 and 5. Models of several sizes are
trained on several numbers of unique tokens for one to many epochs. The paper's law has two
constants for the decay of worth: R_D of repeated tokens and R_N of parameters beyond what the
unique tokens support. It finds that up to 4 epochs are almost as good as fresh tokens.

    scaling-jax run experiments/repeated_data.py --scale cpu --root results
    python experiments/repeated_data.py results/repeated-data-cpu repeated.svg

The second command fits the law and says whether the runs identify R_D and R_N. `full` reads C4
with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    PlannedRun,
    PowerLawBatch,
    PowerLawLR,
    Recipe,
    ShapeGrid,
    Source,
    Study,
)

source = Source("Muennighoff et al. 2023", "2305.16264", "figure 3")


@dataclass(frozen=True)
class Epochs:
    """Sizes x unique tokens x epochs; each run has a schedule of its own length.

    Attributes:
        params: wanted numbers of parameters, as the recipe's family counts them.
        unique_tokens: unique tokens of the runs.
        epochs: how often each run reads them.
        most_tokens: runs of more tokens, repeats counted, are left out.
        seeds: how often each run is trained, with the recipe's seed and those after it.
    """

    params: tuple[float, ...]
    unique_tokens: tuple[int, ...]
    epochs: tuple[float, ...]
    most_tokens: float
    seeds: int = 1

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The runs under `recipe`."""
        shapes = tuple(dict.fromkeys(recipe.family.nearest(size) for size in self.params))
        for unique in self.unique_tokens:
            on_part = replace(recipe, data=replace(recipe.data, unique_tokens=unique))
            tokens = tuple(t for n in self.epochs if (t := n * unique) <= self.most_tokens)
            yield from ShapeGrid(shapes, tokens, seeds=self.seeds).runs(on_part)


study = Study(
    "repeated-data",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=Family(vocab_size=32_000, seq_len=2048),
        peak_lr=PowerLawLR(value=1e-3, reference_params=70e6),
        batch_size=PowerLawBatch(sequences=128, reference_params=70e6, exponent=0.4),
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    Epochs(
        (2.5e7, 8e7, 2.5e8, 7.5e8, 2.5e9),
        (100_000_000, 400_000_000, 1_500_000_000, 10_000_000_000),
        (1.0, 2.0, 4.0, 8.0, 16.0, 40.0, 100.0),
        most_tokens=60e9,
    ),
)

cpu = Study(
    "repeated-data-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=1e-2, reference_params=20e3),
        batch_size=ConstantBatch(8),
        eval_tokens=65_536,
    ),
    Epochs(
        (12e3, 24e3, 48e3, 96e3),
        (32_768, 131_072, 524_288),
        (1.0, 2.0, 4.0, 8.0, 16.0, 40.0),
        most_tokens=2.2e6,
        seeds=2,
    ),
)

smoke = Study(
    "repeated-data-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=2e-2, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    ),
    Epochs((4e3, 6.6e3, 10e3), (2048, 8192), (1.0, 4.0, 16.0), most_tokens=50e3),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.repeated_data import main

    main(*sys.argv[1:])
