"""How large a batch is useful, and what does each loss cost at its best batch?

After Kaplan et al. 2020 (arXiv 2001.08361), section 5, figures 10, 13 and 14, Table 6. Several
sizes are trained with several batches, with held-out losses along the way. At each loss the steps S
and tokens E of the batches give E_min, S_min and B_crit (equations 5.1 to 5.3); with B_crit(L)
every run is adjusted to S_min and C_min (5.4, 5.5), which gives L(N, S_min), L(C_min) and the best
size for C_min. Beside these, the runs of one batch measure their gradient noise scale, and are
continued with other batches from several checkpoints (Merrill et al. 2025, 2505.23971).

    scaling-jax run experiments/kaplan_critical_batch.py --scale cpu --root results
    python experiments/kaplan_critical_batch.py results/kaplan-critical-batch-cpu critical.svg

The second command prints the tables and draws the figure; losses after the figure's name are the
targets, such as `critical.svg 2.6 2.4`. `full` has the batches of the paper about its own 2^19
tokens, and reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.config import DataConfig, LogSpaced, NoiseScale
from scaling_jax.shapes import Family
from scaling_jax.study import (
    BatchBranches,
    ConstantBatch,
    FixedModels,
    PowerLawLR,
    Recipe,
    ScaledByBatch,
    Source,
    Study,
    Sweep,
)
from scaling_jax.study.plan.design import Design, PlannedRun

source = Source("Kaplan et al. 2020", "2001.08361", "figure 10")


@dataclass(frozen=True)
class Together:
    """The runs of several designs.

    Attributes:
        designs: each gives runs.
    """

    designs: tuple[Design, ...]

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The runs of each design in turn."""
        for design in self.designs:
            yield from design.runs(recipe)


def design(
    models: FixedModels,
    batches: tuple[int, ...],
    base: int,
    rates: tuple[PowerLawLR, ...],
    noise: NoiseScale,
    window: float,
    at: tuple[float, ...],
) -> Together:
    """Every model with every batch and rate; those of `base` and the first rate are branched too.

    A rate is that of `base` sequences and grows with the square root of the batch. A critical batch
    takes the fastest run of each batch.
    """
    measured = Sweep(models, {f"batch {base}, measured": {"noise_scale": noise}})
    branches = BatchBranches(measured, at, tuple(batch / base for batch in batches), window)
    sweep = {
        f"batch {batch}, rate {rate.value:g}": {
            "batch_size": ConstantBatch(batch),
            "peak_lr": ScaledByBatch(rate, sequences=base),
        }
        for batch in batches
        for rate in rates
        if (batch, rate) != (base, rates[0])
    }
    return Together((branches, Sweep(models, sweep)))


def small(seq_len: int, base: int, points: int, curve_tokens: int, eval_tokens: int) -> Recipe:
    """Bytes of the embedded text at a constant learning rate, so that curves have no horizon."""
    return Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=seq_len, sized_by="non_embedding"),
        peak_lr=ScaledByBatch(_SMALL_RATE, sequences=base),
        batch_size=ConstantBatch(base),
        optimizer_knobs={"schedule": "constant"},
        eval_tokens=eval_tokens,
        eval_every=LogSpaced(points=points, start=0.01),
        curve_tokens=curve_tokens,
    )


_RATE = PowerLawLR(value=1e-3, reference_params=3e6)
study = Study(
    "kaplan-critical-batch",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=Family(vocab_size=32_000, seq_len=1024, sized_by="non_embedding"),
        peak_lr=ScaledByBatch(_RATE, sequences=512),
        batch_size=ConstantBatch(512),
        optimizer_knobs={"schedule": "constant"},
        precision="bfloat16",
        eval_tokens=8_388_608,
        eval_every=LogSpaced(points=60, start=0.005),
        curve_tokens=1_048_576,
    ),
    design(
        FixedModels(params=(3e6, 12e6, 50e6, 200e6), tokens_per_param=(100.0,)),
        batches=(16, 64, 256, 512, 1024, 4096),
        base=512,
        rates=(_RATE, PowerLawLR(value=2e-3, reference_params=3e6)),
        noise=NoiseScale(LogSpaced(points=12), 512),
        window=2**28,
        at=(0.1, 0.3, 1.0),
    ),
)

# Porian's power of the size.
_SMALL_RATE = PowerLawLR(value=6e-3, reference_params=30e3)
cpu = Study(
    "kaplan-critical-batch-cpu",
    small(64, 8, points=40, curve_tokens=32_768, eval_tokens=65_536),
    design(
        FixedModels(params=(4e3, 12e3, 36e3), tokens_per_param=(48.0,), seeds=2),
        batches=(2, 8, 16, 32, 128),
        base=8,
        rates=(_SMALL_RATE,),
        noise=NoiseScale(LogSpaced(points=6, start=0.05), 128),
        window=2**17,
        at=(0.2, 1.0),
    ),
)

smoke = Study(
    "kaplan-critical-batch-smoke",
    small(32, 16, points=12, curve_tokens=2048, eval_tokens=4096),
    design(
        FixedModels(params=(2e3, 4e3, 6e3), tokens_per_param=(4.0,)),
        batches=(8, 16, 32),
        base=16,
        rates=(_SMALL_RATE,),
        noise=NoiseScale(LogSpaced(points=2, start=0.5), sequences=64, small=8),
        window=2048,
        at=(1.0,),
    ),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.critical_batch import main

    main(*sys.argv[1:])
