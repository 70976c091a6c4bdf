"""Decisions at a budget in words: other sizes, serving, repeated data, time and money."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.formatting import duration, plain_spaces
from scaling_jax.laws.notes import Note, NoteCode

if TYPE_CHECKING:
    from scaling_jax.laws.allocation import Estimate, Optimum
    from scaling_jax.laws.decisions.compute_multiplier import ComputeMultiplier
    from scaling_jax.laws.decisions.off_optimum import SizeRange
    from scaling_jax.laws.decisions.repeated_data import RepeatedOptimum
    from scaling_jax.laws.decisions.serving import Demand, ServedOptimum
    from scaling_jax.laws.decisions.training_cost import TrainingCost

Row = tuple[str, "Estimate", Callable[[Any], str]]


def describe_sizes(optimum: "Optimum", ranges: "Sequence[SizeRange]") -> str:
    """The sizes that reach the optimum's loss with a little more compute."""
    lines = ["Sizes that reach the same loss (smallest to largest, with their tokens):"]
    for entry in ranges:
        ends = (
            (entry.smallest.value, entry.smallest_tokens.value),
            (entry.largest.value, entry.largest_tokens.value),
        )
        params = " to ".join(formatting.count(optimum.params * size) for size, _ in ends)
        tokens = " to ".join(formatting.count(optimum.tokens * tokens) for _, tokens in ends)
        ratios = " to ".join(formatting.significant(size, 2) for size, _ in ends)
        extra = f"{100 * entry.extra:g} %"
        lines.append(
            f"  {extra:>5} more compute: N {params}, D {tokens} ({ratios} times the optimal N)"
        )
    return plain_spaces("\n".join(lines))


def describe_served(
    level: float, demand: "Demand", same_loss: "ServedOptimum", same_budget: "ServedOptimum"
) -> str:
    """The model to train when it is also served: for the same loss, and for the same budget."""
    total = demand.prefill_tokens + demand.decode_tokens
    saved = 100 * same_loss.saving.value
    extra = 100 * same_loss.extra_training.value
    lines = [
        f"To serve {formatting.count(total)} tokens{_rates(demand)}, at the same loss:",
        *_rows(level, _model(same_loss)),
        f"  which saves {saved:.3g} % of training and serving the optimum above, with "
        f"{extra:.3g} % more training.",
        "With the budget to pay for both training and serving:",
        *_rows(level, [*_model(same_budget), ("loss", same_budget.loss, formatting.loss)]),
    ]
    return plain_spaces("\n".join(lines))


def describe_repeated(level: float, best: "RepeatedOptimum") -> str:
    """The optimum on a stock of unique tokens."""
    head = f"With {formatting.count(best.unique_tokens)} unique tokens"
    if best.epochs.value <= 1:
        share = 100 * best.epochs.value
        return plain_spaces(
            f"{head} none has to be repeated: the optimum reads {share:.3g} % of them."
        )
    lost = best.loss.value - best.unlimited_loss.value
    rows: list[Row] = [
        ("params N", best.params, formatting.count),
        ("tokens D", best.tokens, formatting.count),
        ("epochs", best.epochs, formatting.significant),
        ("loss", best.loss, formatting.loss),
    ]
    lines = [
        f"{head}, repeated:",
        *_rows(level, rows),
        f"  which is {lost:.4f} above what unlimited unique tokens would reach.",
        *(note.line for note in repeated_notes(best)),
    ]
    return plain_spaces("\n".join(lines))


def repeated_notes(best: "RepeatedOptimum") -> tuple[Note, ...]:
    """What is known of the decay by which repeated tokens count."""
    if best.epochs.value <= 1:
        return ()
    text = (
        "by the decay of repeats that Muennighoff et al. 2023 published; their runs bound how well "
        "tokens bear repeating from below, not from above."
    )
    return (Note(NoteCode.REPEATS_DECAY, text),)


def describe_multiplier(
    level: float, name: str, found: "ComputeMultiplier", *, shared_floor: bool
) -> str:
    """How much compute another recipe needs for the loss that this one reaches."""
    if not found.reached:
        return plain_spaces(
            f"The recipe of {name} never reaches this loss: its floor E is "
            f"{formatting.loss(found.floor.value)}."
        )
    rows: list[Row] = [
        ("FLOPs", found.flops_needed, formatting.flops),
        ("ratio", found.multiplier, formatting.significant),
    ]
    lines = [
        f"To reach the loss {formatting.loss(found.loss.value)}, the recipe of {name} needs "
        "(ratio: this recipe's compute over its own):",
        *_rows(level, rows),
    ]
    lines += [note.line for note in multiplier_notes(found, shared_floor=shared_floor)]
    return plain_spaces("\n".join(lines))


def multiplier_notes(found: "ComputeMultiplier", *, shared_floor: bool) -> tuple[Note, ...]:
    """How far the floors of the two recipes decide the comparison."""
    notes = []
    if not found.reached:
        return ()
    if found.share_reached is not None and found.share_reached < 1:
        never = 100 * (1 - found.share_reached)
        text = f"in {never:.3g} % of the resamples its floor E lies above that loss."
        notes.append(Note(NoteCode.FLOOR_ABOVE_LOSS, text))
    if not shared_floor:
        text = (
            "far beyond the data the two floors decide; to compare recipes on one, fit both with "
            "the same --hold E=VALUE."
        )
        notes.append(Note(NoteCode.FLOORS_DIFFER, text))
    return tuple(notes)


def describe_cost(name: str, cost: "TrainingCost") -> str:
    """Time and money of training, with the peak and the assumed share of it."""
    chips = f"{cost.chips} chip" + ("" if cost.chips == 1 else "s")
    lines = [
        f"Training on {chips} of {name} ({cost.peak_flops:.3g} FLOP/s bfloat16 peak each, "
        f"{100 * cost.utilization:g} % of it assumed):",
        f"  time        {duration(3600 * cost.hours)}",
        f"  chip-hours  {_amount(cost.chip_hours)}",
    ]
    if cost.price is not None:
        lines.append(
            f"  price       {cost.price:,.4g} at {cost.price_per_chip_hour:g} per chip-hour"
        )
    return plain_spaces("\n".join(lines))


def _amount(value: float) -> str:
    """Whole where it is large, otherwise to three digits: 404,417 or 1.25."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rates(demand: "Demand") -> str:
    phases = (demand.training, demand.prefill, demand.decode)
    if len(set(phases)) == 1:
        return ""
    names = ("training", "prompts", "generating")
    shares = ", ".join(
        f"{name} {100 * phase.utilization:g} %" for name, phase in zip(names, phases, strict=True)
    )
    return f" (of the peak: {shares})"


def _model(optimum: "ServedOptimum") -> list[Row]:
    return [
        ("params N", optimum.params, formatting.count),
        ("tokens D", optimum.tokens, formatting.count),
    ]


def _rows(level: float, rows: Sequence[Row]) -> list[str]:
    lines = []
    for name, estimate, form in rows:
        bounds = formatting.interval(estimate.interval, form)
        between = f"{formatting.level(level)} interval {bounds}" if bounds else ""
        lines.append(f"  {name:<8}  {form(estimate.value):>10}  {between}".rstrip())
    return lines
