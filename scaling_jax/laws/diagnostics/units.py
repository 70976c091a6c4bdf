"""Questions about numbers that look like a mistake in units; the fit goes ahead as given."""

import math

import numpy as np

from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN, PF_DAY
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.compute import FAR
from scaling_jax.laws.tables.select import Rows

# No transformer has so few parameters, and no study's usual one has so few.
_FEWEST_PARAMS, _FEW_PARAMS = 100, 1_000
_FEW_TOKENS = 10_000
# Rows of published studies have 0.01 to 10,000 tokens per parameter, and the medians of studies
# lie far from either end.
_LEAST_RATIO, _MOST_RATIO = 0.05, 1e5
# Ten seconds on one core, for the largest run of a study.
_FEW_FLOPS = 1e11
# Counts in millions or billions are given to three or four digits, such as 44.3 or 1,400.
_DIGITS_OF_UNITS = 3
# The logarithm of 3.3 million: no vocabulary makes guessing as costly.
_MOST_NATS = 15.0


def questions(rows: Rows, unit: str = "") -> tuple[Note, ...]:
    """A question for every column whose magnitude suggests other units, with its numbers.

    Every rule lies well outside what is published and what this package trains: 768 to 1e12
    parameters, 1e5 to 1e14 tokens, 0.01 to 10,000 tokens per parameter. A loss of a known `unit`
    is not questioned.
    """
    if not rows.has_size_and_data:
        return ()
    found = [_params(rows), _tokens(rows)]
    if not any(found):
        found.append(_ratio(rows))
    found += [_flops(rows), _budget(rows)]
    if not any(found):
        found.append(_effort(rows))
    found += [] if unit else [_loss(rows)]
    return tuple(Note(NoteCode.UNITS_SUSPECT, question) for question in found if question)


def _params(rows: Rows) -> str:
    least, middle = rows.params.min(), np.median(rows.params)
    if least >= _FEWEST_PARAMS and middle >= _FEW_PARAMS:
        return ""
    return (
        f"Are params in millions or billions? They are {least:.3g} to {rows.params.max():.3g}, "
        "fewer than a transformer has: give plain counts, such as 70e9."
    )


def _tokens(rows: Rows) -> str:
    if np.median(rows.tokens) >= _FEW_TOKENS:
        return ""
    return (
        f"Are tokens in thousands, millions or billions? They are {rows.tokens.min():.3g} to "
        f"{rows.tokens.max():.3g}, less than a batch or two: give plain counts, such as 1.4e12."
    )


def _ratio(rows: Rows) -> str:
    ratio = rows.tokens / rows.params
    if _LEAST_RATIO <= np.median(ratio) <= _MOST_RATIO:
        return ""
    column = "tokens" if np.median(ratio) < _LEAST_RATIO else "params"
    return (
        f"Are {column} in thousands, millions or billions? Rows have {ratio.min():.2g} to "
        f"{ratio.max():.2g} tokens per parameter, and studies have 0.1 to 10,000: give plain "
        "counts of both."
    )


def _flops(rows: Rows) -> str:
    factor = float(np.median(rows.flops / (FLOPS_PER_PARAM_TOKEN * rows.params * rows.tokens)))
    if not is_far(factor):
        return ""
    return f"The column flops is {factor:.2g} times 6 N D: {_units_of(factor)}."


def _units_of(factor: float) -> str:
    if 0.2 < factor * PF_DAY < 5:
        return "is it in petaFLOP/s-days (8.64e19 FLOPs)? Give plain FLOPs"
    power = 3 * round(math.log10(factor) / 3)
    if power > 0:
        return f"are params or tokens in units whose product is 1e{power}? Give plain counts"
    return f"is it in units of 1e{-power} FLOPs? Give plain FLOPs"


def _budget(rows: Rows) -> str:
    factor = rows.budget_factor
    if not is_far(factor):
        return ""
    return f"The column budget is {factor:.2g} times the runs' FLOPs: give it in FLOPs too."


def _effort(rows: Rows) -> str:
    """Params and tokens both in larger units keep their ratio and give too little compute.

    Studies of seconds have as little; there params or tokens are whole numbers of many digits.
    """
    if _are_plain_counts(rows.params) or _are_plain_counts(rows.tokens):
        return ""
    product = FLOPS_PER_PARAM_TOKEN * rows.params * rows.tokens
    # FLOPs that the table counts itself settle the units: `_flops` found them close to 6 N D.
    has_flops = not np.allclose(rows.flops, product, rtol=1e-6)
    if has_flops or product.max() >= _FEW_FLOPS:
        return ""
    return (
        f"Are params and tokens in millions? The largest run has 6 N D = {product.max():.2g} "
        "FLOPs, seconds on one core: give plain counts."
    )


def _are_plain_counts(values: np.ndarray) -> bool:
    """Whether values are whole, and most of them of more digits than numbers in larger units."""
    step = 10.0 ** (np.floor(np.log10(values)) + 1 - _DIGITS_OF_UNITS)
    rounded = np.abs(values / step - np.round(values / step)) < 1e-6
    return bool((values == np.round(values)).all() and np.mean(rounded) < 0.5)


def _loss(rows: Rows) -> str:
    worst = int(rows.loss.argmax())
    if rows.loss[worst] <= _MOST_NATS:
        return ""
    count = int((rows.loss > _MOST_NATS).sum())
    return (
        f"Is the loss in nats per token? {count} of {len(rows)} rows have more than "
        f"{_MOST_NATS:g}, up to {rows.loss[worst]:.4g} ({rows.label[worst]}), which is worse than "
        "guessing from any vocabulary: a perplexity's loss is its logarithm, and bits are 0.693 "
        "nats each."
    )


def is_far(factor: float) -> bool:
    """Whether two counts of FLOPs differ by more than ways of counting do."""
    return not 1 / FAR < factor < FAR
