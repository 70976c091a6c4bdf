"""`evaluate`, `compare`, `sample` and `export`: what can be done with finished runs."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import Columns, Json, Unit, optional
from scaling_jax.cli.output import print_blocks, print_json, remark
from scaling_jax.errors import InputError, refuse_with
from scaling_jax.system.outputs import check_output, replacing

Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="its directory")]


def evaluate(
    run: Run,
    /,
    *,
    corpus: Annotated[str | None, optional("by default the run's own", "CORPUS")] = None,
    task: Annotated[
        str | None, optional("instead: questions to score, such as PATH.jsonl", "TASK")
    ] = None,
    positions: Annotated[
        Path | None, optional("write the loss at each position of the run's held-out text", "CSV")
    ] = None,
    json: Json = False,
) -> None:
    """Print the loss of a finished run on the held-out part of a corpus, or its score on a task."""
    from scaling_jax.trained import load_run

    if corpus and task:
        raise InputError(f"--corpus {corpus} and --task {task}: give one of them")
    if positions is not None:
        given = {"--corpus": corpus is not None, "--task": task is not None}
        refuse_with("--positions reads the run's own held-out text", given)
        check_output(positions, (".csv",))
    model = load_run(run)
    found = model.score(task) if task else model.evaluate(corpus)
    print_json(dataclasses.asdict(found)) if json else print(found)
    if positions is not None:
        with replacing(positions) as temporary:
            model.details().by_position().to_csv(temporary, index=False)


def compare(
    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="RUN|STUDY",
            help="directories of two runs; or of two or more studies, or tables as for fit",
        ),
    ],
    /,
    *,
    on: Annotated[
        str, tyro.conf.arg(metavar="SET", help="name of a held-out set, for runs")
    ] = "held_out",
    law: Annotated[
        str, tyro.conf.arg(metavar="NAME", help="the formula fitted to studies, as for fit")
    ] = "chinchilla",
    columns: Columns = None,
    unit: Unit = None,
    json: Json = False,
) -> None:
    """Print the difference in loss of two finished runs, in pairs on the same held-out windows.

    For studies and tables: the differences of runs of the same size and length with standard
    errors, the compute multiplier, and the exponents side by side. Losses in other units, or of
    another tokenizer or text, are not compared.
    """
    from scaling_jax.runs.result import is_run
    from scaling_jax.study.status import compare_studies, compared_text

    if len(sources) == 2 and all(map(is_run, sources)):
        from scaling_jax.trained import compare_runs

        refuse_with("runs have one unit", {"--columns": bool(columns), "--unit": bool(unit)})
        pair = compare_runs(*sources, on)
        print_json(dataclasses.asdict(pair)) if json else print(pair)
        return
    refuse_with("studies are compared by the losses of their records", {"--on": on != "held_out"})
    mapping = named_values.names("--columns", columns)
    found = compare_studies(sources, law=law, columns=mapping, unit=unit)
    data, text = compared_text.compared_data, compared_text.compared_text
    print_json(data(found)) if json else print_blocks(text(found))


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

    model = load_run(run)
    print(model.export(to))
    remark(f"its weights are {model.weights}")
