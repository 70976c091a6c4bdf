"""What a fit answers at a budget or for a run: as plain data, in words, and with notes."""

import dataclasses
from contextlib import suppress
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.laws.data_limit import data_limit
from scaling_jax.laws.decisions import decision_text
from scaling_jax.laws.decisions.compute_multiplier import compute_multiplier
from scaling_jax.laws.decisions.off_optimum import SizeRange, size_range
from scaling_jax.laws.decisions.repeated_data import repeated_optimum
from scaling_jax.laws.decisions.serving import Demand, best_served, cheapest_served
from scaling_jax.laws.decisions.surface import surface_of
from scaling_jax.laws.fit_text import (
    describe_optimum,
    describe_prediction,
    is_of_size_and_data,
    prediction_notes,
)
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.notes import Note, of_severity

# Shares of the optimum's compute for which the range of sizes is shown.
EXTRA_COMPUTE = (0.05, 0.1, 0.2)

# As plain data, in words, and its notes, which the words hold.
Answer = tuple[dict[str, Any], str, tuple[Note, ...]]


def predicted(fitted: Fit, at: dict[str, float]) -> Answer:
    """The response of a run, by a law of any columns.

    Raises:
        InputError: as `Fit.predict`.
    """
    made = fitted.predict(**at)
    answer = dataclasses.asdict(made)
    if is_of_size_and_data(fitted):
        answer["loss"] = answer.pop("value")
    return answer, describe_prediction(fitted, at, made), prediction_notes(fitted, at, made)


def at_budget(
    fitted: Fit, flops: float, demand: Demand | None = None, unique_tokens: float | None = None
) -> list[Answer]:
    """The optimum at a budget in FLOPs, sizes near it, and the optimum of a served model or of few
    unique tokens where either is given. By default the runs' text is the limit, where its length
    is known.

    Raises:
        InputError: as `Fit.optimal`, `cheapest_served`, `best_served` and `repeated_optimum`.
    """
    optimum = fitted.optimal(flops)
    answers: list[Answer] = [(dataclasses.asdict(optimum), describe_optimum(fitted, optimum), ())]
    ranges = _size_ranges(fitted)
    if ranges:
        sizes = [dataclasses.asdict(entry) for entry in ranges]
        answers.append(({"sizes": sizes}, decision_text.describe_sizes(optimum, ranges), ()))
    if demand is not None:
        same_loss = cheapest_served(fitted, demand, training_flops=flops)
        budget = flops * demand.training.per_flop
        same_budget = best_served(fitted, demand, budget=budget)
        as_data: dict[str, Any] = {
            "same_loss": dataclasses.asdict(same_loss),
            "same_budget": dataclasses.asdict(same_budget),
        }
        text = decision_text.describe_served(fitted.level, demand, same_loss, same_budget)
        answers.append(({"served": as_data}, text, ()))
    limit = data_limit(fitted)
    if unique_tokens is not None:
        answers.append(_repeated(fitted, flops, unique_tokens))
    elif limit is not None and optimum.tokens > limit:
        # Not every law has what repeated tokens are worth.
        with suppress(InputError):
            data, text, notes = _repeated(fitted, flops, limit)
            source = "The runs' text limits the data (--unique-tokens sets another limit)."
            answers.append((data, f"{source}\n{text}", notes))
    return answers


def _repeated(fitted: Fit, flops: float, unique_tokens: float) -> Answer:
    best = repeated_optimum(fitted, flops=flops, unique_tokens=unique_tokens)
    text = decision_text.describe_repeated(fitted.level, best)
    return {"repeated": dataclasses.asdict(best)}, text, decision_text.repeated_notes(best)


def compared(fitted: Fit, flops: float, second: Fit, name: str) -> Answer:
    """The compute that another fit, called `name`, needs for the loss of a budget.

    Raises:
        InputError: as `compute_multiplier`.
    """
    found = compute_multiplier(fitted, second, flops=flops)
    # Two fitted floors are never the same to the last digit.
    shared = fitted.params.get("E") == second.params.get("E")
    text = decision_text.describe_multiplier(fitted.level, name, found, shared_floor=shared)
    warned = of_severity(second.diagnostics, "warning")
    others = tuple(Note(note.code, f"{name}: {note}") for note in warned)
    notes = decision_text.multiplier_notes(found, shared_floor=shared)
    lines = [text, *(note.line for note in others)]
    return {"against": dataclasses.asdict(found)}, "\n".join(lines), (*notes, *others)


def _size_ranges(fitted: Fit) -> list[SizeRange]:
    """Sizes near the optimum; none for a law that does not say what they cost."""
    try:
        surface = surface_of(fitted)
    except InputError:
        return []
    return [size_range(surface, extra) for extra in EXTRA_COMPUTE]
