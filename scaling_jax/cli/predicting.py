"""`predict`: what a fitted law recommends for a budget, and the loss it expects of a run."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_jax import named_values
from scaling_jax.cli.arguments import Columns, Json, optional
from scaling_jax.cli.output import print_json
from scaling_jax.errors import InputError
from scaling_jax.laws.decisions import decision_text
from scaling_jax.laws.notes import of_severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaling_jax.laws import Demand
    from scaling_jax.laws.decisions.answers import Answer
    from scaling_jax.laws.tables.read import Table

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
    from scaling_jax import laws
    from scaling_jax.laws.decisions import answers as found
    from scaling_jax.laws.extrapolation import answers as beyond
    from scaling_jax.study.store.sources import fit_and_records

    if floors and not sensitivity:
        raise InputError("--floors needs --sensitivity too")
    if sensitivity:
        from scaling_jax.system.compilation import use_compilation_cache

        use_compilation_cache()
    mapping = named_values.names("--columns", columns)
    fitted, table = fit_and_records(fit, records, mapping)
    demand = _demand(
        inference_tokens,
        prefill_tokens,
        decode_tokens,
        utilizations=(utilization, prefill_utilization, decode_utilization),
    )
    if hardware is None:
        _refuse_without("--hardware NAME", {"--chips": chips, "--price": price})
        if prefill_utilization is None and decode_utilization is None:
            _refuse_without("--hardware NAME", {"--utilization": utilization})
    run: dict[str, float] | None = None
    if flops is not None and params is None and tokens is None:
        answers = found.at_budget(fitted, flops, demand, unique_tokens)
        if against is not None:
            other = laws.Fit.read(against)
            answers.append(found.compared(fitted, flops, other, against.name))
    elif at and flops is None and params is None and tokens is None:
        _refuse_without("--params N and --tokens D", {"--hardware": hardware})
        run = named_values.pairs("--at", at)
        answers = [found.predicted(fitted, run)]
    elif flops is None and params is not None and tokens is not None:
        extras = {
            "--unique-tokens": unique_tokens,
            "served tokens": demand,
            "--against": against,
        }
        _refuse_without("--flops C, the budget they are weighed at,", extras)
        run = {"params": params, "tokens": tokens}
        answers = [found.predicted(fitted, run)]
        flops = fitted.compute.of(params, tokens)
    else:
        raise InputError(
            "give either --flops C, or --params N and --tokens D, or --at NAME=VALUE for a law of "
            "other columns"
        )
    if task is not None:
        answers.append(_on_task(task, table, run or {"flops": flops}, mapping))
    if table is not None and flops is not None:
        answers.append(beyond.certified(fitted, table, flops, mapping))
    if sensitivity:
        question: dict[str, Any] = {"at": run} if run else {"flops": flops}
        answers.append(beyond.changed(fitted, table, **question, floors=floors, columns=mapping))
    if hardware is not None and flops is not None:
        answers.append(_cost(flops, hardware, chips, utilization, price))
    if json:
        merged = {key: value for answer, *_ in answers for key, value in answer.items()}
        notes = [*fitted.diagnostics, *(note for *_, added in answers for note in added)]
        about = {"level": fitted.level, "count": fitted.count}
        print_json({**merged, **about, "diagnostics": [note.as_data() for note in notes]})
    else:
        warned = "\n".join(note.line for note in of_severity(fitted.diagnostics, "warning"))
        print(*filter(None, (warned, *(text for _, text, _ in answers))), sep="\n\n")


def _demand(
    both: Number,
    prefill: Number,
    decode: Number,
    *,
    utilizations: tuple[Number, Number, Number],
) -> "Demand | None":
    """What is served, None if nothing is; costs are FLOPs unless utilizations differ."""
    from scaling_jax.accounting import hardware
    from scaling_jax.laws import Demand, Rate

    training, *phases = utilizations
    if both is None and prefill is None and decode is None:
        options = dict(zip(("--prefill-utilization", "--decode-utilization"), phases, strict=True))
        _refuse_without("--inference-tokens T, or --prefill-tokens and --decode-tokens,", options)
        return None
    if both is not None and (prefill is not None or decode is not None):
        raise InputError(
            f"--inference-tokens {both:g} already counts prompts and generated tokens: give "
            "either it or --prefill-tokens and --decode-tokens"
        )
    if both is not None and phases != [None, None]:
        raise InputError(
            f"--inference-tokens {both:g} does not tell prompts from generated tokens, which "
            "utilizations are of: give --prefill-tokens and --decode-tokens"
        )
    served = (both or prefill or 0.0, decode or 0.0)
    if phases == [None, None]:
        return Demand(*served)
    usual = hardware.TYPICAL_UTILIZATION if training is None else training
    return Demand(*served, Rate(usual), *(Rate(usual if u is None else u) for u in phases))


def _on_task(
    task: str, table: "Table | None", at: dict[str, Any], columns: "Mapping[str, str] | None"
) -> "Answer":
    from scaling_jax.laws.two_steps import predict_task, task_answer

    if table is None:
        raise InputError(
            f"--task {task} needs the accuracies of the runs: give --records TABLE, or the table "
            "or the study's directory instead of the fit"
        )
    return task_answer(predict_task(table, task, columns=columns, **at))


def _cost(
    flops: float, name: str, chips: int | None, utilization: Number, price: Number
) -> "Answer":
    from scaling_jax import laws
    from scaling_jax.accounting import hardware

    chip = hardware.chip(name)
    cost = laws.training_cost(
        flops,
        peak_flops=chip.peak_flops("bfloat16"),
        utilization=hardware.TYPICAL_UTILIZATION if utilization is None else utilization,
        chips=1 if chips is None else chips,
        price_per_chip_hour=price,
    )
    as_data = {"hardware": chip.name, **dataclasses.asdict(cost)}
    return {"cost": as_data}, decision_text.describe_cost(chip.name, cost), ()


def _refuse_without(needed: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name} needs {needed} too")
