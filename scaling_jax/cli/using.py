"""`evaluate`, `sample` and `export`: what can be done with a finished run."""

import dataclasses
from typing import Annotated

import tyro

from scaling_jax.cli.arguments import Json, optional
from scaling_jax.cli.output import print_json
from scaling_jax.errors import InputError

Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="its directory")]


def evaluate(
    run: Run,
    /,
    *,
    corpus: Annotated[str | None, optional("by default the run's own", "CORPUS")] = None,
    task: Annotated[
        str | None, optional("instead: questions to score, such as PATH.jsonl", "TASK")
    ] = None,
    json: Json = False,
) -> None:
    """Print the loss of a finished run on the held-out part of a corpus, or its score on a task."""
    from scaling_jax.trained import load_run

    if corpus and task:
        raise InputError(f"--corpus {corpus} and --task {task}: give one of them")
    model = load_run(run)
    found = model.score(task) if task else model.evaluate(corpus)
    print_json(dataclasses.asdict(found)) if json else print(found)


def sample(
    run: Run,
    /,
    *,
    prompt: str = "",
    n_tokens: int = 100,
    temperature: float = 1.0,
    seed: int = 0,
) -> None:
    """Print a prompt and what a finished run continues it with."""
    from scaling_jax.trained import load_run

    print(load_run(run).generate(prompt, n_tokens, temperature, seed))


def export(run: Run, /, *, to: Annotated[str, tyro.conf.arg(metavar="DIR")]) -> None:
    """Write a finished run's model and tokenizer for Hugging Face's transformers."""
    from scaling_jax.trained import load_run

    print(load_run(run).export(to))
