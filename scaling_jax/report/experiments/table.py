"""Which analysis answers the question of which study."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.answer import Answer

if TYPE_CHECKING:
    from scaling_jax.study import Store

# The name of a study at its full scale: the module of this package whose `answer` reads its store.
ANALYSES = {
    "cosine-overshoot": "overshoot",
    "experts": "experts",
    "hoffmann-head-to-head": "head_to_head",
    "kaplan-critical-batch": "critical_batch",
    "kaplan-curves": "kaplan_curves",
    "kaplan-lstm": "architectures",
    "kaplan-shapes": "kaplan_shapes",
    "kaplan-size-and-data": "kaplan_size_and_data",
    "kaplan-transfer": "kaplan_transfer",
    "lr-transfer": "transfer",
    "modalities": "modalities",
    "optimal-hyperparameters": "hyperparameters",
    "reconciliation": "reconciliation",
    "repeated-data": "repeated_data",
}
_SCALES = ("-cpu", "-smoke")
# What an analysis raises for the runs of another study of the same name.
_UNFIT = (InputError, KeyError, ValueError, IndexError, TypeError)


@dataclass(frozen=True)
class OwnAnswer:
    """The answer of a published experiment to its own question.

    Attributes:
        title: what the analysis shows.
        answer: the answer; None where the runs give none.
        reason: why there is no answer.
    """

    title: str
    answer: Answer | None
    reason: str = ""


def own_answer(store: "Store") -> OwnAnswer | None:
    """What the runs of a published experiment answer; None for every other study."""
    name = str(store.study["name"])
    for scale in _SCALES:
        name = name.removesuffix(scale)
    if name not in ANALYSES:
        return None
    module = importlib.import_module(f"{__package__}.{ANALYSES[name]}")
    title = str(module.__doc__).partition("\n")[0].removesuffix(".")
    try:
        return OwnAnswer(title, module.answer(store))
    except _UNFIT as error:
        return OwnAnswer(title, None, str(error) or type(error).__name__)
