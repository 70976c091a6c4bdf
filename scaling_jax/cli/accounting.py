"""`flops`: the parameters and FLOPs of a shape under every convention."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import tyro

from scaling_jax.accounting.shape_account import (
    account_tables,
    shape_account,
    shape_of,
    training_sentence,
)
from scaling_jax.cli.arguments import Json, optional
from scaling_jax.cli.output import print_json, print_table
from scaling_jax.config import RunConfig, Shape
from scaling_jax.errors import InputError


def _options_of_shape() -> Any:
    """A dataclass of the fields of `Shape` with their meaning, each optional.

    A CONFIG.json may stand in for all of them, so those that a shape requires are None until given.
    """
    hints, options = get_type_hints(Shape), []
    for field in dataclasses.fields(Shape):
        # A user's own module is counted where it is planned: the CONFIG.json of its run holds it.
        if field.name != "module":
            unset = field.default in (dataclasses.MISSING, None)
            kind = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
            default = None if unset else field.default
            options.append((field.name, kind if unset else hints[field.name], default))
    return dataclasses.make_dataclass(
        "ShapeOptions", options, frozen=True, namespace={"__doc__": Shape.__doc__}
    )


if TYPE_CHECKING:
    ShapeOptions = Any
else:
    ShapeOptions = _options_of_shape()
_NOTHING_GIVEN = ShapeOptions()


def flops(
    config: Annotated[
        Path | None,
        tyro.conf.Positional,
        optional("a run's configuration, instead of the options below", "[CONFIG.json]"),
    ] = None,
    /,
    *,
    shape: Annotated[ShapeOptions, tyro.conf.arg(name="")] = _NOTHING_GIVEN,
    tokens: Annotated[float | None, optional("training tokens (default: the run's)", "D")] = None,
    json: Json = False,
) -> None:
    """Count the parameters and FLOPs of a shape, by operation and by convention.

    exact: the matrix products as executed. chinchilla: appendix F of Hoffmann et al. 2022.
    kaplan: 6 N D without embeddings. 6nd: 6 N D with every parameter. For a mixture of experts,
    the last two count the parameters that one token uses.

    Without --d-ff, the feed-forward width is 4 x d-model, and d-model for an lstm.
    """
    if config is None:
        counted = shape_of(dataclasses.asdict(shape))
    elif shape == _NOTHING_GIVEN:
        run = RunConfig.read(config)
        counted, tokens = run.shape, run.tokens if tokens is None else tokens
    else:
        raise InputError("give either a CONFIG.json or the options of a shape, not both")
    account = shape_account(counted, tokens)
    if json:
        print_json(account)
        return
    params, operations = account_tables(account)
    print_table(params)
    print()
    print_table(operations)
    if tokens is not None:
        print(f"\n{training_sentence(account)}")
