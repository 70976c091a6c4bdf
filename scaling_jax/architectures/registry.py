"""The table of architectures: what everything else knows of each."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scaling_jax.architectures import lstm, own_counts, transformer
from scaling_jax.architectures.counts import Convention, OpFlops, ParamCount
from scaling_jax.config import ArchitectureName, Shape


@dataclass(frozen=True)
class Architecture:
    """One architecture: its model, its counts and how it is sharded.

    Attributes:
        model: the Flax module, as `MODULE:CLASS`, which is imported where a model is built; None
            for a user's own module.
        params: parameters of a shape, by component.
        forward_ops: FLOPs of a shape's forward pass over one sequence, under a convention, with a
            number of attention scores of each head.
        split: sizes of a shape that the mesh axis `tensor` must divide, each with its name.
        axes: logical axes of the parameters, by their names in the model; a parameter without
            any is replicated.
    """

    model: str | None
    params: Callable[[Shape], ParamCount]
    forward_ops: Callable[[Shape, Convention, int], OpFlops]
    split: Callable[[Shape], dict[str, int]]
    axes: Mapping[str, tuple[str | None, ...]]

    def model_class(self) -> Any:
        """The class of the model."""
        assert self.model is not None
        module, _, name = self.model.partition(":")
        return getattr(importlib.import_module(module), name)


_TRANSFORMER = Architecture(
    "scaling_jax.model.transformer:Transformer",
    transformer.params,
    transformer.forward_ops,
    transformer.split,
    transformer.AXES,
)

ARCHITECTURES: dict[ArchitectureName, Architecture] = {
    "transformer": _TRANSFORMER,
    "recurrent": Architecture(
        "scaling_jax.model.recurrent:RecurrentTransformer",
        transformer.params,
        transformer.forward_ops,
        transformer.split,
        transformer.AXES,
    ),
    "lstm": Architecture(
        "scaling_jax.model.lstm:LSTM", lstm.params, lstm.forward_ops, lstm.split, lstm.AXES
    ),
    "module": Architecture(None, own_counts.params, own_counts.forward_ops, own_counts.split, {}),
}


def architecture_of(shape: Shape) -> Architecture:
    """The architecture of a shape."""
    return ARCHITECTURES[shape.architecture]
