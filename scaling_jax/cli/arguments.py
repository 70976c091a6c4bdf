"""Arguments that several commands share."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scaling_jax.errors import InputError
from scaling_jax.execution import Execution

if TYPE_CHECKING:
    from scaling_jax.config import RunConfig
    from scaling_jax.study import Study

Scale = Literal["full", "cpu", "smoke"]


def optional(help: str, metavar: str | None = None) -> Any:
    """An option that is off or unset by default, which its help does not repeat."""
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint="")


Json = Annotated[bool, optional("print JSON alone on standard output")]
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

ExecutionOptions = Annotated[Execution, tyro.conf.OmitArgPrefixes]


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, float]:
    """A mapping from name to number, from texts of the form NAME=NUMBER.

    Raises:
        InputError: a text of another form.
    """
    given = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            given[name] = float(value)
        except ValueError as error:
            raise InputError(f"{option} {text}: write NAME=NUMBER, such as E=1.69") from error
    return given


NamedNumbers = Annotated[
    Mapping[str, float],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=lambda texts: pairs("--hold", tuple(texts)),
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda value: [f"{name}={number}" for name, number in value.items()],
    ),
]


def _centred(texts: list[str]) -> dict[str, tuple[float, float]]:
    given = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            centre, deviation = map(float, value.split(":"))
        except ValueError as error:
            raise InputError(
                f"--prior {text}: write NAME=CENTRE:DEVIATION, as E=1.6:0.1"
            ) from error
        given[name] = (centre, deviation)
    return given


NamedPriors = Annotated[
    Mapping[str, tuple[float, float]],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=CENTRE:DEVIATION",
        instance_from_str=_centred,
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda value: [f"{n}={c}:{d}" for n, (c, d) in value.items()],
    ),
]


def load_study(path: Path, scale: Scale, settings: tuple[str, ...] = ()) -> "Study":
    """The study that `path` defines or names, with `settings` applied.

    Raises:
        InputError: no such study, a module that does not run, or a setting that is refused.
    """
    from scaling_jax.study import find_experiment, load_experiment
    from scaling_jax.study.plan.overrides import override

    try:
        return override(load_experiment(find_experiment(path), scale), settings)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"experiment {path} fails: {type(error).__name__}: {error}") from error


def read_config(path: Path) -> "RunConfig":
    """The run that a JSON file configures.

    Raises:
        InputError: a file that cannot be read, or that holds no run's configuration.
    """
    from scaling_jax.config import RunConfig

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"cannot read {path}: {reason}; give a run's config.json") from error
    try:
        return RunConfig.from_json(text)
    except InputError as error:
        hint = "; scaling-jax run trains an experiment" if path.suffix == ".py" else ""
        raise InputError(f"{path}: {error}{hint}") from error


def refuse_beyond(study: "Study", max_flops: float | None) -> None:
    """Refuse a study whose runs take more than `max_flops`, in the study's convention.

    Raises:
        InputError: the study takes more.
    """
    planned = study.flops_spent
    if max_flops is not None and not planned <= max_flops:
        raise InputError(
            f"study {study.name!r} takes {planned:.3g} FLOPs, more than --max-flops "
            f"{max_flops:.3g}: plan fewer or smaller runs, or raise it"
        )


def names(option: str, text: str | None) -> dict[str, str]:
    """A mapping from our names to others', from text of the form OURS=THEIRS,OURS=THEIRS.

    Raises:
        InputError: text of another form.
    """
    given = {}
    for pair in text.split(",") if text else ():
        ours, equals, theirs = pair.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise InputError(f"{option} {text}: write OURS=THEIRS, such as params=n_params")
        given[ours.strip()] = theirs.strip()
    return given


def values(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """A mapping from name to value, from texts NAME=VALUE; values are Python literals or text.

    Raises:
        InputError: a text of another form.
    """
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(f"{option} {text}: write NAME=VALUE, such as cpus_per_task=2")
        try:
            given[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            given[name] = value
    return given


def refuse_with(reason: str, given: Mapping[str, bool]) -> None:
    """Refuse the first given option that has no meaning with the others.

    Raises:
        InputError: an option was given; the message holds the reason.
    """
    for option, is_given in given.items():
        if is_given:
            raise InputError(f"{reason}, so {option} does not apply: leave it out")
