"""Why Kaplan et al. found N_opt ∝ C^0.73 and Hoffmann et al. C^0.50: one difference at a time.

After Porian et al. 2024 (2406.19146), figure 1. Each step removes one difference between the two
studies, and the exponent is measured again:

0. Kaplan's practice: parameters and FLOPs without the vocabulary, smoothed training losses, a
   warm-up of the same tokens at every size, and a cosine longer than every run.
1. The same runs, with the head counted and held-out losses.
2. A warm-up of as many tokens as the model has parameters.
3. A cosine that ends with each run: a grid of sizes and budgets.
4. Learning rate and batch by size, beta2 of 0.99, and a constant rate.

Steps 0, 1, 2 and 4 read every budget off the loss curve of one run of each size.

    scaling-jax run experiments/reconciliation.py --scale cpu --root results
    python experiments/reconciliation.py results/reconciliation-cpu reconciliation.svg losses.csv
    scaling-jax fit losses.csv --by variation --approach 2 --curve window

The second command prints the exponent and its interval after each step, beside what the count alone
predicts (Pearce and Song 2024, 2406.12907), and draws them; its table is what the third one fits.
`full` has the published budgets and reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import DataConfig, RunConfig, Shape
from scaling_jax.config.evaluation import LogSpaced
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    PlannedRun,
    PowerLawBatch,
    PowerLawLR,
    Recipe,
    ShapeTable,
    Source,
    Study,
)
from scaling_jax.study.plan.rules import BatchRule, LearningRateRule

source = Source("Porian et al. 2024", "2406.19146", "figure 1")


@dataclass(frozen=True)
class Switches:
    """The runs of every step, each with the name of its training recipe as its variation.

    The recipe of the study is that of steps 0 to 3. Shapes are those of its family, a table.

    Attributes:
        budgets: training FLOPs 6 N D of the grid, N with the head.
        center: the size at the first budget about which sizes are chosen; it grows as C^0.5.
        width: a budget has the sizes from its center / width to its center * width.
        long_warmup: tokens of the warm-up of steps 0 and 1, the same at every size.
        most_tokens: tokens of the longest run.
        tuned_lr, tuned_batch: learning rate and batch of step 4.
        seeds: every run is trained with each.
    """

    budgets: tuple[float, ...]
    center: float
    width: float
    long_warmup: float
    most_tokens: float
    tuned_lr: LearningRateRule
    tuned_batch: BatchRule
    seeds: tuple[int, ...] = (0,)

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run of each size for steps 0 and 1, 2, and 4, and the grid of step 3."""
        tuned = replace(
            recipe,
            peak_lr=self.tuned_lr,
            batch_size=self.tuned_batch,
            optimizer_knobs={"schedule": "constant", "beta2": 0.99},
        )
        for seed in self.seeds:
            own = replace(recipe, seed=seed)
            yield from self._series(own, "long warm-up", self.long_warmup, every_size=True)
            yield from self._series(own, "short warm-up")
            yield from self._grid(own)
            yield from self._series(replace(tuned, seed=seed), "tuned")

    def _series(
        self,
        recipe: Recipe,
        variation: str,
        warmup: float | None = None,
        every_size: bool = False,
    ) -> Iterator[PlannedRun]:
        """One run of each size, to the largest budget at which the size is wanted."""
        for shape in shapes_of(recipe):
            params = count_params(shape).total
            wanted = [c for c in self.budgets if every_size or self._is_wanted(params, c)]
            if not wanted:
                continue
            tokens = min(max(wanted) / (6 * params), self.most_tokens)
            config = recipe.for_tokens(shape, tokens)
            config = warmed_up(config, params if warmup is None else warmup)
            if config.optimizer.schedule == "cosine":
                # Four times the longest run, so that no run sees much of the descent.
                cycle = 4 * self.most_tokens / config.tokens
                config = replace(config, optimizer=replace(config.optimizer, cycle=cycle))
            yield PlannedRun(
                config,
                6.0 * params * config.tokens,
                "grid",
                recipe.convention,
                wanted_tokens=float(tokens),
                variation=variation,
            )

    def _grid(self, recipe: Recipe) -> Iterator[PlannedRun]:
        for budget in self.budgets:
            shapes = [
                s for s in shapes_of(recipe) if self._is_wanted(count_params(s).total, budget)
            ]
            shapes = [s for s in shapes if budget / (6 * count_params(s).total) < self.most_tokens]
            # The end of each run is what counts here.
            at_end = replace(recipe, eval_every=LogSpaced(points=2, start=0.5))
            for shape in shapes:
                # One batch for all budgets, so that whole steps can miss a budget by 0.5 %.
                params = count_params(shape).total
                config = warmed_up(at_end.for_tokens(shape, budget / (6 * params)), params)
                yield PlannedRun(
                    config, budget, "grid", recipe.convention, variation="matched cosine"
                )

    def _is_wanted(self, params: int, budget: float) -> bool:
        center = self.center * (budget / self.budgets[0]) ** 0.5
        return center / self.width <= params <= center * self.width


def shapes_of(recipe: Recipe) -> tuple[Shape, ...]:
    """The shapes of a recipe whose family is a table."""
    assert isinstance(recipe.family, ShapeTable)
    return recipe.family.shapes


def warmed_up(config: RunConfig, tokens: float) -> RunConfig:
    """The run with a linear warm-up of `tokens` tokens, where it ends within the warm-up too."""
    wanted = max(1, round(tokens / config.tokens_per_step))
    steps = min(wanted, config.steps - 1)
    peak_lr = config.optimizer.peak_lr
    # A run that ends earlier sees the same line up to its end, with a lower peak.
    optimizer = replace(
        config.optimizer, warmup_steps=steps, peak_lr=float(f"{peak_lr * steps / wanted:.6g}")
    )
    return replace(config, optimizer=optimizer)


def small(widths: tuple[int, ...], vocab_size: int, seq_len: int, **fields: Any) -> Recipe:
    """Two layers of each width, on the embedded text under a tokenizer trained on it."""
    shapes = tuple(
        Shape(
            n_layers=2,
            d_model=width,
            n_heads=max(1, width // 16),
            d_ff=4 * width,
            vocab_size=vocab_size,
            seq_len=seq_len,
        )
        for width in widths
    )
    return Recipe(
        data=DataConfig("embedded", f"trained:{vocab_size}:embedded"),
        family=ShapeTable(shapes),
        **fields,
    )


# The budgets and sizes of Porian et al., table 1 and section 3; theirs has 50,432 token ids.
_full = tuple(1.25e16 * 2**k for k in range(12))
study = Study(
    "reconciliation",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=ShapeTable(tuple(Family(32_000, 2048).grid(5.2e6, 9e8, 16))),
        peak_lr=ConstantLR(3e-3),
        batch_size=ConstantBatch(256),
        precision="bfloat16",
        eval_tokens=8_388_608,
        eval_every=LogSpaced(points=30, start=0.002),
        curve_tokens=1_048_576,
    ),
    Switches(
        budgets=_full,
        center=12.5e6,
        width=5,
        long_warmup=1.57e9,
        most_tokens=1.2e11,
        tuned_lr=PowerLawLR(4.7e-3, reference_params=108e6, exponent=-0.36),
        tuned_batch=PowerLawBatch(160, reference_params=108e6, exponent=0.703),
    ),
)

# Peak rates and batches were tuned at the largest of these sizes; see docs/reconciliation.md.
_tuned_lr = PowerLawLR(1.05e-2, reference_params=80e3, exponent=-0.36)
_tuned_batch = PowerLawBatch(16, reference_params=80e3, exponent=0.703)

cpu = Study(
    "reconciliation-cpu",
    small(
        (4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48),
        vocab_size=1024,
        seq_len=64,
        peak_lr=ConstantLR(6e-3),
        batch_size=ConstantBatch(16),
        eval_tokens=65_536,
        eval_every=LogSpaced(points=12, start=0.05),
        curve_tokens=8192,
    ),
    Switches(
        budgets=(1.4e10, 2.5e10, 4.5e10, 8e10, 1.43e11, 2.55e11),
        center=9e3,
        width=2.7,
        long_warmup=4e5,
        most_tokens=2e6,
        tuned_lr=_tuned_lr,
        tuned_batch=_tuned_batch,
        seeds=(0, 1),
    ),
)

smoke = Study(
    "reconciliation-smoke",
    small(
        (8, 12, 16, 20),
        vocab_size=512,
        seq_len=32,
        peak_lr=ConstantLR(6e-3),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
        eval_every=LogSpaced(points=6, start=0.1),
        curve_tokens=2048,
    ),
    Switches(
        budgets=(1e9, 2e9, 4e9),
        center=8e3,
        width=4,
        long_warmup=3e4,
        most_tokens=2e5,
        tuned_lr=_tuned_lr,
        tuned_batch=_tuned_batch,
    ),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.reconciliation import main

    main(*sys.argv[1:])
