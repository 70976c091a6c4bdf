"""`predict`: what a fitted law recommends for a budget, and the loss it expects of a run."""

from pathlib import Path
from typing import Annotated

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import Columns, Json, optional
from scaling_jax.cli.output import print_json, remark

Number = float | None


def predict(
    fit: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="fit.json|RECORDS",
            help="what fit --out wrote; or a table or a study's directory, as for fit, which is "
            "fitted by the law auto first",
        ),
    ],
    /,
    *,
    flops: Annotated[Number, optional("a compute budget: what to train with it", "C")] = None,
    params: Annotated[Number, optional("a model's parameters, with --tokens", "N")] = None,
    tokens: Annotated[Number, optional("its training tokens, with --params", "D")] = None,
    inference_tokens: Annotated[
        Number, optional("tokens served in the model's lifetime, of prompts and generated", "T")
    ] = None,
    prefill_tokens: Annotated[
        Number, optional("instead of --inference-tokens: those of prompts", "T")
    ] = None,
    decode_tokens: Annotated[Number, optional("and those generated", "T")] = None,
    prefill_utilization: Annotated[
        Number, optional("share of the peak when reading prompts (default: as in training)", "U")
    ] = None,
    decode_utilization: Annotated[
        Number, optional("share of the peak when generating (default: as in training)", "U")
    ] = None,
    unique_tokens: Annotated[
        Number, optional("how many different tokens there are: more are repeats", "U")
    ] = None,
    against: Annotated[
        Path | None,
        optional(
            "the fit of another recipe: what compute it needs for the same loss", "other.json"
        ),
    ] = None,
    hardware: Annotated[
        str | None, optional("chip whose hours are shown: h100, v5p, cpu, ...", "NAME")
    ] = None,
    chips: Annotated[int | None, optional("how many train together (default: 1)", "K")] = None,
    utilization: Annotated[
        Number, optional("share of the peak in training (default: 0.4)", "U")
    ] = None,
    price: Annotated[Number, optional("of a chip-hour, in any currency", "P")] = None,
    at: Annotated[
        tuple[str, ...],
        optional("a value for each column that the law reads, whatever they are", "NAME=VALUE"),
    ] = (),
    task: Annotated[
        str | None,
        optional(
            "expected accuracy on a task that the runs were scored on, its column acc_NAME", "NAME"
        ),
    ] = None,
    records: Annotated[
        Path | None,
        optional("what fit.json was fitted to: bounds the loss without assuming a form", "RECORDS"),
    ] = None,
    columns: Columns = None,
    sensitivity: Annotated[
        bool,
        optional("the answer under each form, floor, window and weight, and without each run"),
    ] = False,
    floors: Annotated[
        tuple[float, ...], optional("further floors for --sensitivity", "E [E ...]")
    ] = (),
    json: Json = False,
) -> None:
    """Predict the optimum at a budget (--flops), or a model's loss (--params and --tokens).

    With a budget: which sizes cost little more, what changes when the model is served or unique
    tokens run out, how another recipe compares, and what training takes in time and money.
    """
    from scaling_jax.questions import Question, decide
    from scaling_jax.study.store.sources import fit_and_records, unused_floor

    if sensitivity:
        from scaling_jax.system.compilation import use_compilation_cache

        use_compilation_cache()
    question = Question(
        flops=flops,
        params=params,
        tokens=tokens,
        at=named_values.pairs("--at", at),
        inference_tokens=inference_tokens,
        prefill_tokens=prefill_tokens,
        decode_tokens=decode_tokens,
        utilization=utilization,
        prefill_utilization=prefill_utilization,
        decode_utilization=decode_utilization,
        unique_tokens=unique_tokens,
        against=against,
        hardware=hardware,
        chips=chips,
        price=price,
        task=task,
        sensitivity=sensitivity,
        floors=floors,
    )
    mapping = named_values.names("--columns", columns)
    remark(unused_floor(fit))
    fitted, table = fit_and_records(fit, records, mapping)
    decision = decide(fitted, question, table, mapping)
    print_json(decision.data()) if json else print(decision)
