"""Arguments that several commands share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from scaling_jax import named_values

Scale = Literal["full", "cpu", "smoke"]


def optional(help: str, metavar: str | None = None) -> Any:
    """An option that is off or unset by default, which its help does not repeat."""
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint="")


Json = Annotated[bool, optional("print only JSON on standard output")]
Experiment = Annotated[
    Path,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="EXPERIMENT",
        help="a Python module that defines a study, or a name that `experiments` lists",
    ),
]
Settings = Annotated[
    tuple[str, ...],
    tyro.conf.UseAppendAction,
    tyro.conf.arg(
        name="set",
        metavar="PATH=VALUE",
        help="change a field of the study, such as recipe.peak_lr=3e-3; may be repeated",
        help_behavior_hint="",
    ),
]
ScaleOption = Annotated[
    Scale,
    tyro.conf.arg(
        help="which of the module's studies: as published, for minutes on a CPU, or for seconds"
    ),
]
MaxFlops = Annotated[
    float | None, optional("refuse a plan whose runs take more FLOPs than this together", "C")
]
StoreDirectory = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="DIR", help="a study's directory, or a root that holds one study"),
]
Columns = Annotated[
    str | None,
    optional(
        "what the table calls our columns, such as params=n_params,loss=val_loss; the layouts "
        "of Weights & Biases, nanochat and Stanford's CS336 are recognised",
        "OURS=THEIRS",
    ),
]
By = Annotated[
    str | None,
    optional(
        "each value of this column on its own, such as variation, compared with one value",
        "COLUMN[=VALUE]",
    ),
]
Unit = Annotated[str | None, optional("of the loss, such as nats, bits or bits_per_byte", "UNIT")]
Root = Annotated[
    str, tyro.conf.arg(metavar="DIR", help="where the results go: a directory or a bucket")
]

DataCache = Annotated[
    str | None,
    tyro.conf.arg(
        name="data-cache",
        metavar="DIR",
        help="where tokens are kept: a directory, by default $SCALING_JAX_CACHE; or a bucket, "
        "which hosts fill together and read from as they train, with at most so many bytes in the "
        "memory of each process (gs://BUCKET/tokens?memory=1e9)",
        help_behavior_hint="",
    ),
]

NamedNumbers = Annotated[
    Mapping[str, float],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=lambda texts: named_values.pairs("--hold", tuple(texts)),
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda value: [f"{name}={number}" for name, number in value.items()],
    ),
]


NamedPriors = Annotated[
    Mapping[str, tuple[float, float]],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=CENTRE:DEVIATION",
        instance_from_str=lambda texts: named_values.centred("--prior", texts),
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda value: [f"{n}={c}:{d}" for n, (c, d) in value.items()],
    ),
]
