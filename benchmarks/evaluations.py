"""The cost of evaluation along the run, on every second run of the demo's grid.

    python benchmarks/evaluations.py

The runs are evaluated at the 20 points of `LogSpaced()`, with the demo's recipe otherwise. Training
and evaluation alternate within each run, so that a busy machine slows both.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from scaling_jax.config import LogSpaced
from scaling_jax.demo import demo_study
from scaling_jax.train import train_run


def main() -> None:
    study = demo_study()
    recipe = replace(study.recipe, eval_every=LogSpaced())
    total = {"train": 0.0, "curve": 0.0}
    runs = sorted(replace(study, recipe=recipe).plan(), key=lambda run: run.config.tokens)
    for run in runs[::2]:
        with tempfile.TemporaryDirectory() as folder:
            result = train_run(run.config, Path(folder) / "run", progress=False)
        for part in total:
            total[part] += result.seconds[part]
        train, curve = result.seconds["train"], result.seconds["curve"]
        print(
            f"{run.config.tokens:,} tokens: training {train:.2f} s, evaluation along the run "
            f"{curve:.2f} s ({100 * curve / train:.1f} %)",
            flush=True,
        )
    print(f"{100 * total['curve'] / total['train']:.1f} % of the training time")


if __name__ == "__main__":
    main()
