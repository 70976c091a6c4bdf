"""What a fitted law recommends for a budget, and what it expects of a run: one question, answered.

Belongs here: the choice of the answers that a question asks for. They are computed in `laws`, with
the speeds of chips of `accounting`.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax.errors import InputError
from scaling_jax.laws.decisions import decision_text
from scaling_jax.laws.notes import of_severity

if TYPE_CHECKING:
    from scaling_jax.laws import Demand, Fit
    from scaling_jax.laws.decisions.answers import Answer
    from scaling_jax.laws.tables.read import Table

Number = float | None


@dataclass(frozen=True)
class Question:
    """A question to a fitted law, with the options of `scaling-jax predict`.

    Attributes:
        flops: a compute budget in FLOPs: what to train with it.
        params, tokens: instead, a run whose loss is wanted.
        at: instead, a value for each column that the law reads.
        inference_tokens: tokens served in the model's lifetime, of prompts and generated.
        prefill_tokens, decode_tokens: instead, those of prompts and those generated.
        utilization, prefill_utilization, decode_utilization: shares of the peak.
        unique_tokens: how many different tokens there are.
        against: file of another recipe's fit.
        hardware, chips, price: the chip whose hours are shown, how many, and an hour's price.
        task: a task whose accuracy is wanted, by the runs' column `acc_NAME`.
        sensitivity: also the answer under each form, floor, window and weight.
        floors: further floors for `sensitivity`.

    Raises:
        InputError: floors without `sensitivity`.
    """

    flops: Number = None
    params: Number = None
    tokens: Number = None
    at: Mapping[str, float] = field(default_factory=dict)
    inference_tokens: Number = None
    prefill_tokens: Number = None
    decode_tokens: Number = None
    utilization: Number = None
    prefill_utilization: Number = None
    decode_utilization: Number = None
    unique_tokens: Number = None
    against: os.PathLike[str] | str | None = None
    hardware: str | None = None
    chips: int | None = None
    price: Number = None
    task: str | None = None
    sensitivity: bool = False
    floors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.floors and not self.sensitivity:
            raise InputError("--floors needs --sensitivity too")


@dataclass(frozen=True)
class Decision:
    """The answers to a question by one fit: `str(decision)`, and `data()` for programs."""

    fit: "Fit"
    answers: "tuple[Answer, ...]"

    def __str__(self) -> str:
        warned = "\n".join(note.line for note in of_severity(self.fit.diagnostics, "warning"))
        return "\n\n".join(filter(None, (warned, *(text for _, text, _ in self.answers))))

    def data(self) -> dict[str, Any]:
        """The answers as plain data, with the notes of the fit and of the answers."""
        merged = {key: value for answer, *_ in self.answers for key, value in answer.items()}
        notes = [*self.fit.diagnostics, *(note for *_, added in self.answers for note in added)]
        about = {"level": self.fit.level, "count": self.fit.count}
        return {**merged, **about, "diagnostics": [note.as_data() for note in notes]}


def decide(
    fitted: "Fit",
    question: Question,
    table: "Table | None" = None,
    columns: Mapping[str, str] | None = None,
) -> Decision:
    """Answer a question by a fitted law.

    Args:
        fitted: the fit.
        question: what is wanted.
        table: the runs that were fitted, which bound the loss without a form.
        columns: our name -> the table's.

    Raises:
        InputError: options that do not belong together, or a value that the fit cannot answer.
    """
    from scaling_jax import laws
    from scaling_jax.laws.decisions import answers as found
    from scaling_jax.laws.extrapolation import answers as beyond

    flops, params, tokens = question.flops, question.params, question.tokens
    demand = _demand(
        question.inference_tokens,
        question.prefill_tokens,
        question.decode_tokens,
        utilizations=(
            question.utilization,
            question.prefill_utilization,
            question.decode_utilization,
        ),
    )
    if question.hardware is None:
        _refuse_without("--hardware NAME", {"--chips": question.chips, "--price": question.price})
        if question.prefill_utilization is None and question.decode_utilization is None:
            _refuse_without("--hardware NAME", {"--utilization": question.utilization})
    run: dict[str, float] | None = None
    if flops is not None and params is None and tokens is None:
        answers = found.at_budget(fitted, flops, demand, question.unique_tokens)
        if question.against is not None:
            other = laws.Fit.read(question.against)
            answers.append(found.compared(fitted, flops, other, Path(question.against).name))
    elif question.at and flops is None and params is None and tokens is None:
        _refuse_without("--params N and --tokens D", {"--hardware": question.hardware})
        run = dict(question.at)
        answers = [found.predicted(fitted, run)]
    elif flops is None and params is not None and tokens is not None:
        extras = {
            "--unique-tokens": question.unique_tokens,
            "served tokens": demand,
            "--against": question.against,
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
    if question.task is not None:
        answers.append(_on_task(question.task, table, run or {"flops": flops}, columns))
    if table is not None and flops is not None:
        answers.append(beyond.certified(fitted, table, flops, columns))
    if question.sensitivity:
        where: dict[str, Any] = {"at": run} if run else {"flops": flops}
        where |= {"floors": question.floors, "columns": columns}
        answers.append(beyond.changed(fitted, table, **where))
    if question.hardware is not None and flops is not None:
        price = question.price
        answers.append(_cost(flops, question.hardware, question.chips, question.utilization, price))
    return Decision(fitted, tuple(answers))


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
