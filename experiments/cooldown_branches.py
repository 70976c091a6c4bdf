"""Several horizons of one size as cooldowns of one run (Hägele et al. 2024, arXiv 2405.18392).

Each model is trained once at a constant rate, to its longest horizon. Each shorter horizon is a
cooldown from a checkpoint of that run. The losses equal those of separate runs with the same
schedule, for less than two thirds of the FLOPs. The paper recommends a peak rate of about half the
best rate of a cosine.

    scaling-jax plan cooldown-branches --hardware v5p
    scaling-jax run cooldown-branches --scale cpu --root results
    python experiments/cooldown_branches.py results

The last command trains `cpu`, and the same runs separately, and compares losses and FLOPs. `full`
reads C4 with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from dataclasses import replace

from scaling_jax.config import DataConfig
from scaling_jax.shapes import CHINCHILLA_SHAPES, Family
from scaling_jax.study import (
    Branched,
    ConstantBatch,
    FixedModels,
    PowerLawLR,
    Recipe,
    ShapeTable,
    Source,
    Study,
    Warmup,
    collect,
    run_study,
)

source = Source("Hägele et al. 2024", "2405.18392", "scaling laws from one run of each size")

# Tokens per parameter: a range around the published optimum of about 20.
horizons = (5.0, 10.0, 20.0, 40.0)

study = Study(
    "cooldown-branches",
    Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model", repeat=True),
        family=ShapeTable(CHINCHILLA_SHAPES),
        peak_lr=PowerLawLR(value=1e-3, reference_params=70e6),
        batch_size=ConstantBatch(256),  # half a million tokens
        # A fixed number of steps: the horizons of a size share their warm-up.
        warmup=Warmup(share=0, floor=300),
        optimizer_knobs={"schedule": "wsd", "cooldown_share": 0.2},
        precision="bfloat16",
        eval_tokens=8_388_608,
    ),
    Branched(FixedModels((70e6, 130e6, 230e6, 460e6, 950e6, 1.9e9), horizons)),
)

models = FixedModels(params=(12e3, 24e3, 48e3), tokens_per_param=horizons)

# Models of tens of thousands of parameters, on bytes of the embedded text.
cpu = Study(
    "cooldown-branches-cpu",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=3e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        warmup=Warmup(share=0, floor=20),
        optimizer_knobs={"schedule": "wsd"},
        eval_tokens=131_072,
    ),
    Branched(models),
)

smoke = Study(
    "cooldown-branches-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=3e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        warmup=Warmup(share=0, floor=5),
        optimizer_knobs={"schedule": "wsd"},
        eval_tokens=4096,
    ),
    Branched(FixedModels(params=(4e3, 6.6e3, 15e3), tokens_per_param=(1.0, 2.0, 4.0, 8.0))),
)


def main(root: str) -> None:
    """Train `cpu` under `root` with branches and as separate runs, and print the differences."""
    apart = replace(cpu, name="cooldown-branches-apart", design=models)
    ours, theirs = (collect(run_study(each, root)).set_index("run_id") for each in (cpu, apart))
    table = ours[["params", "tokens", "lineage", "begun_at", "steps", "loss"]]
    print(table.assign(loss_apart=theirs.loss, differs_by=ours.loss - theirs.loss).to_string())
    spent = [each.flops_spent.sum() for each in (ours, theirs)]
    print(f"{spent[0]:.4g} FLOPs, {spent[0] / spent[1]:.1%} of the {spent[1]:.4g} spent apart")


if __name__ == "__main__":
    main(*sys.argv[1:])
