"""How much text there is for the runs of a fit, and sentences where an answer reads more."""

from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.formatting import plain_spaces
from scaling_jax.laws.notes import Note, NoteCode

if TYPE_CHECKING:
    from scaling_jax.laws.fitted import Fit

# Where the number stands in a fit's provenance, and the variable of laws that read it.
UNIQUE_TOKENS = "unique_tokens"
_DEFAULT = "predict takes this limit by default"


def data_limit(fit: "Fit") -> float | None:
    """The unique tokens of the runs' text; None if unknown, or if the law reads them itself."""
    if UNIQUE_TOKENS in getattr(fit, "ranges", {}):
        return None
    return fit.provenance.get(UNIQUE_TOKENS)


def optimum_note(fit: "Fit", flops: float, tokens: float) -> Note | None:
    """A sentence that the optimum at a budget reads the runs' text more than once, if it does."""
    what = f"The optimum at {formatting.flops(flops)} FLOPs"
    return _note(fit, what, tokens, f"; {_DEFAULT}")


def run_note(fit: "Fit", tokens: float) -> Note | None:
    """A sentence that a run reads the runs' text more than once, if it does."""
    return _note(fit, "The run", tokens, "")


def _note(fit: "Fit", what: str, tokens: float, end: str) -> Note | None:
    limit = data_limit(fit)
    if limit is None or tokens <= limit:
        return None
    text = (
        f"{what} reads {formatting.count(tokens)} tokens, "
        f"{formatting.significant(tokens / limit)} times the {formatting.count(limit)} unique "
        f"tokens of the runs' text, as if they were fresh{end}."
    )
    return Note(NoteCode.DATA_LIMIT, plain_spaces(text))
