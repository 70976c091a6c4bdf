"""Does the loss on other texts depend on the training text's loss alone?

After Kaplan et al. 2020 (arXiv 2001.08361), section 3.2.2 and figure 8. Models of several sizes are
trained on one text and evaluated along the way on others. The paper finds that the loss on other
texts falls in parallel with the loss on the training text, whatever the size and however close to
convergence. Brandfonbrener et al. 2024 (2411.12925) fit a shifted power law of loss to loss.

    scaling-jax run experiments/kaplan_transfer.py --scale cpu --root results
    python experiments/kaplan_transfer.py results/kaplan-transfer-cpu transfer.svg

The second command fits the shifted power law to each text, prints the slopes of its residuals in
the size and in the progress of a run, and draws every curve. `full` reads C4, as the paper read
WebText2, with the tokenizer of `chinchilla_isoflop.py`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.config import DataConfig
from scaling_jax.config.evaluation import EvalSet, LogSpaced
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    FixedModels,
    PlannedRun,
    PowerLawLR,
    Recipe,
    Source,
    Study,
)
from scaling_jax.study.plan.published_recipes import kaplan_recipe

source = Source("Kaplan et al. 2020", "2001.08361", "figure 8")


@dataclass(frozen=True)
class OnFurtherTexts:
    """The runs of `models`, for a recipe that evaluates them on other texts along the way.

    Raises:
        InputError: the recipe has no further text, or evaluates runs at their end alone.
    """

    models: FixedModels

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The runs of `models` under `recipe`."""
        if all(each.is_task for each in recipe.evals):
            raise InputError(
                "the recipe's evals hold no second text, so no transfer can be measured: add "
                'EvalSet("code", "stdlib")'
            )
        if recipe.eval_every is None:
            raise InputError(
                "the recipe's eval_every is None, so no run has a curve on other texts: set it, "
                "such as LogSpaced()"
            )
        yield from self.models.runs(recipe)


study = Study(
    "kaplan-transfer",
    kaplan_recipe(
        eval_every=LogSpaced(20, start=0.02),
        curve_tokens=1_048_576,
        evals=(
            EvalSet("books", "embedded", "all"),
            EvalSet("wikipedia", "tfds:wiki40b/en"),
            EvalSet("news", "tfds:cnn_dailymail?field=article"),
            EvalSet("code", "stdlib", "all"),
        ),
    ),
    OnFurtherTexts(FixedModels((1e7, 3e7, 1e8, 3e8, 1e9), tokens_per_param=(20.0, 80.0))),
)

# Two English texts that share no work with the training text, half of each with code, and code.
_texts = (
    EvalSet("bible", "embedded:bible", "all"),
    EvalSet("devil", "embedded:devil", "all"),
    EvalSet("mixed", "mixture:embedded:bible*0.5,stdlib*0.5", "all"),
    EvalSet("code", "stdlib", "all"),
)

cpu = Study(
    "kaplan-transfer-cpu",
    Recipe(
        data=DataConfig("embedded:austen+wordnet", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=1e-2, reference_params=20e3),
        batch_size=ConstantBatch(8),
        # At a constant rate, each point of a curve is the end of a run of that length.
        optimizer_knobs={"schedule": "constant"},
        # The same tokens at every point, so that a curve's end is on the windows of its course.
        eval_tokens=65_536,
        eval_every=LogSpaced(10, start=0.05),
        curve_tokens=65_536,
        evals=_texts,
    ),
    OnFurtherTexts(FixedModels((8e3, 16e3, 32e3, 64e3), tokens_per_param=(20.0, 60.0), seeds=2)),
)

smoke = Study(
    "kaplan-transfer-smoke",
    Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        optimizer_knobs={"schedule": "constant"},
        eval_tokens=2048,
        eval_every=LogSpaced(4, start=0.1),
        curve_tokens=2048,
        evals=(
            EvalSet("tunes", "music:tunes?tunes=500"),
            EvalSet("letters", "synthetic:markov?characters=100000"),
            EvalSet("chain", "synthetic:markov?order=2&characters=100000"),
        ),
    ),
    OnFurtherTexts(FixedModels((4e3, 6.6e3, 10e3), tokens_per_param=(4.0, 8.0))),
)

if __name__ == "__main__":
    from scaling_jax.report.experiments.kaplan_transfer import main

    main(*sys.argv[1:])
