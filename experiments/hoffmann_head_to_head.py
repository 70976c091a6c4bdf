"""At equal compute, is the size that one law calls best better than the other law's?

After Hoffmann et al. 2022 (arXiv 2203.15556), section 4, appendix D.4, figures A4 and A7. Both laws
start from one size that is right at a small budget. From there the best size grows as C^0.5 by
Hoffmann et al. and as C^0.73 by Kaplan et al. At each larger budget both sizes are trained, with
several seeds, and compared in pairs on the same windows of every held-out set and on a task.

    scaling-jax run experiments/hoffmann_head_to_head.py --scale cpu --root results
    python experiments/hoffmann_head_to_head.py results/hoffmann-head-to-head-cpu head.svg

The second command prints each difference with its interval, and the compute with which the worse
size would reach the better one's loss. `full` reads C4 with the tokenizer of
`chinchilla_isoflop.py`, and ends at the budget of Gopher and Chinchilla.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from scaling_jax.config import DataConfig
from scaling_jax.config.evaluation import EvalSet
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ComputeLR,
    ConstantBatch,
    HoffmannLR,
    PlannedRun,
    Recipe,
    Source,
    Study,
    Sweep,
    product,
    vary,
    zipped,
)

source = Source("Hoffmann et al. 2022", "2203.15556", "figure A4")


@dataclass(frozen=True)
class TwoLaws:
    """The sizes that two laws call best at each budget; a run's `variation` names its law.

    Attributes:
        budgets: training FLOPs, in the recipe's convention.
        params: size that both laws call best at `at` FLOPs.
        at: the budget from which both extrapolate.
        exponents: the exponent of N_opt in C for each law.
    """

    budgets: tuple[float, ...]
    params: float
    at: float
    exponents: tuple[tuple[str, float], ...] = (("hoffmann", 0.50), ("kaplan", 0.73))

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """A run for each budget and law; both of a budget share the batch."""
        for budget in self.budgets:
            wanted = [self.params * (budget / self.at) ** power for _, power in self.exponents]
            shapes = [recipe.family.nearest(size) for size in wanted]
            if len(set(shapes)) < len(shapes):
                raise InputError(
                    f"budget {budget:.3g}: the laws' sizes, {wanted[0]:.3g} and {wanted[1]:.3g}, "
                    "have the same shape; choose a budget further from where the laws agree"
                )
            configs = recipe.at_budget(shapes, budget)
            for (name, _), config in zip(self.exponents, configs, strict=True):
                run = PlannedRun(config, budget, "grid", recipe.convention)
                yield replace(run, variation=name)


_optimizers = zipped(
    vary("optimizer_knobs.name", "adamw", "adam"),
    vary("optimizer_knobs.weight_decay", 0.1, 0.0),
)

study = Study(
    "hoffmann-head-to-head",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model", repeat=True),
        family=Family(vocab_size=32_000, seq_len=2048),
        peak_lr=HoffmannLR(),
        batch_size=ConstantBatch(1024),
        precision="bfloat16",
        eval_tokens=8_388_608,
        evals=(
            EvalSet("books", "embedded", "all"),
            EvalSet("wikipedia", "tfds:wiki40b/en"),
            EvalSet("code", "stdlib", "all"),
            EvalSet("next", "cloze:tfds:c4/en"),
        ),
        eval_details=True,
    ),
    Sweep(
        TwoLaws((1e21, 1e22, 5.76e23), params=1e9, at=1.2e20),
        product(vary("seed", 0, 1, 2), _optimizers),
    ),
)

cpu = Study(
    "hoffmann-head-to-head-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=ComputeLR(value=1.7e-2, reference_flops=2e11, exponent=-0.3),
        batch_size=ConstantBatch(8),
        eval_tokens=131_072,
        evals=(
            EvalSet("code", "stdlib"),
            EvalSet("order", "cloze:embedded?wrong=order&questions=200"),
        ),
        eval_details=True,
    ),
    Sweep(
        TwoLaws((1.5e11, 3e11, 6e11), params=7.5e3, at=1.9e10),
        product(vary("seed", 0, 1, 2), _optimizers),
    ),
)

smoke = Study(
    "hoffmann-head-to-head-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=ComputeLR(value=1e-2, reference_flops=2e9, exponent=-0.3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
        evals=(EvalSet("letters", "synthetic:markov?characters=100000"),),
        eval_details=True,
    ),
    Sweep(TwoLaws((1.6e9, 3.2e9, 6.4e9), params=4e3, at=4e8), vary("seed", 0, 1)),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.head_to_head import main

    main(*sys.argv[1:])
