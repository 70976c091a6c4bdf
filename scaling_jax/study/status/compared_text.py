"""Compared studies in words, as tables, and as plain data."""

import dataclasses
from typing import Any

from scaling_jax import formatting
from scaling_jax.laws.grouping_text import grouped_data, grouped_text
from scaling_jax.study.status.compared import ComparedStudies, StudyPair
from scaling_jax.study.status.loss_differences import CellDifference
from scaling_jax.text_table import Table


def compared_text(found: ComparedStudies) -> list[str | Table]:
    """The pairs of studies, then the fit of every study and how their exponents differ."""
    blocks: list[str | Table] = []
    for pair in found.pairs:
        blocks.append(f"{pair.b} against {pair.a}:")
        if pair.cells:
            blocks += ["", pair_table(pair), ""]
        blocks += [*pair_sentences(pair), ""]
    return [*blocks, *grouped_text(found.grouped)]


def pair_table(pair: StudyPair) -> Table:
    """A row for each size and length that both studies trained."""
    columns = ("parameters", "tokens", f"loss of {pair.a}", f"loss of {pair.b}", "difference")
    return Table((*columns, "± std. error"), [_row(cell) for cell in pair.cells])


def pair_sentences(pair: StudyPair) -> list[str]:
    """Why losses are not compared; or their mean difference, its error, and the multiplier."""
    if pair.differing:
        return [
            f"The losses of {pair.a} and {pair.b} are not compared, since they differ in "
            f"{pair.differing}."
        ]
    sentences = [_mean(pair)]
    if pair.cells:
        sentences.append(_errors(pair))
    if pair.multiplier is None:
        return [*sentences, f"No compute multiplier: {pair.no_multiplier}."]
    return [*sentences, multiplier_sentence(pair)]


def multiplier_sentence(pair: StudyPair) -> str:
    """The compute that B saves at the largest budget that every study reaches."""
    found = pair.multiplier
    assert found is not None
    budget = formatting.flops(found.flops)
    if not found.reached:
        floor = formatting.loss(found.floor.value)
        return (
            f"By its law, {pair.b} never reaches the loss {formatting.loss(found.loss.value)} of "
            f"{pair.a} at {budget} FLOPs: its floor E is {floor}."
        )
    bounds = formatting.interval(found.multiplier.interval, formatting.significant)
    interval = f" ({bounds})" if bounds else ""
    return (
        f"Compute multiplier {formatting.significant(found.multiplier.value)}{interval}: "
        f"{pair.b} needs {formatting.flops(found.flops_needed.value)} FLOPs for the loss that "
        f"{pair.a} reaches with {budget}."
    )


def compared_data(found: ComparedStudies) -> dict[str, Any]:
    """The pairs and the fits, without draws."""
    return {
        "pairs": [dataclasses.asdict(pair) for pair in found.pairs],
        **grouped_data(found.grouped),
    }


def _mean(pair: StudyPair) -> str:
    if pair.mean is None:
        return f"{pair.a} and {pair.b} trained no model of the same size and length."
    error = "" if pair.stderr is None else f" ± {formatting.loss(pair.stderr)}"
    lower = sum(cell.difference < 0 for cell in pair.cells)
    return (
        f"Mean difference {_signed(pair.mean)}{error} (standard error from the scatter of "
        f"{len(pair.cells)} sizes and lengths); {pair.b} has the lower loss in {lower} of them."
    )


def _errors(pair: StudyPair) -> str:
    seeds = min(min(cell.n_a, cell.n_b) for cell in pair.cells)
    scatter = "" if seeds > 1 else ", without the scatter between seeds"
    if all(cell.paired for cell in pair.cells):
        return f"Standard errors are of losses paired window by window{scatter}."
    if any(cell.stderr is not None for cell in pair.cells):
        return (
            f"Standard errors are unpaired, which is too wide for losses on one text{scatter}: "
            "eval_details in a recipe keeps the losses by window that pairs need."
        )
    return "The tables show no standard errors of single losses."


def _row(cell: CellDifference) -> tuple[str, ...]:
    return (
        formatting.count(cell.params),
        formatting.count(cell.tokens),
        formatting.loss(cell.loss_a),
        formatting.loss(cell.loss_b),
        _signed(cell.difference),
        formatting.loss(cell.stderr),
    )


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
