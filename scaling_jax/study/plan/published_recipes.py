"""Recipes as the papers state them, which the experiments of those papers share at full scale."""

from dataclasses import replace
from typing import Any

from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study.plan.published_rules import KaplanLR
from scaling_jax.study.plan.recipe import Recipe
from scaling_jax.study.plan.rules import ConstantBatch, Warmup

# Kaplan et al. 2020 (2001.08361), section 2.2: 2.5e5 steps of 512 sequences of 1,024 tokens.
KAPLAN_TOKENS = 250_000 * 512 * 1024
KAPLAN_FAMILY = Family(vocab_size=32_000, seq_len=1024, positions="learned")


def kaplan_recipe(**changes: Any) -> Recipe:
    """The training of Kaplan et al. 2020, section 2.2, on C4 instead of WebText2.

    Adam at their learning rates, a warm-up of 3,000 steps and a cosine to zero. The vocabulary has
    32,000 ids, from the tokenizer of `experiments/chinchilla_isoflop.py`.

    >>> from scaling_jax.config import LogSpaced
    >>> recipe = kaplan_recipe(eval_every=LogSpaced(20))
    >>> recipe.warmup(250_000), recipe.eval_every.points
    (3000, 20)

    Args:
        changes: fields of the recipe that an experiment sets otherwise.
    """
    recipe = Recipe(
        data=DataConfig("tfds:c4/en", "sentencepiece:tokenizers/c4_32k.model"),
        family=KAPLAN_FAMILY,
        peak_lr=KaplanLR(),
        batch_size=ConstantBatch(512),
        warmup=Warmup(share=0, floor=3000, ceiling=3000),
        optimizer_knobs={"name": "adam", "weight_decay": 0.0, "final_lr_fraction": 0.0},
        precision="bfloat16",
        eval_tokens=8_388_608,
    )
    return replace(recipe, **changes)
