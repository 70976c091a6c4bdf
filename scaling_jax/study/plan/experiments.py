"""The experiments that ship: where they are, what they are after, and their studies."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.study import SCALES, Scale, Study, run_module, study_of


@dataclass(frozen=True)
class Source:
    """What of the literature an experiment is after, as its module's `source` says.

    Attributes:
        paper: authors and year.
        arxiv: its number there.
        figure: the figure, table or section.
    """

    paper: str
    arxiv: str
    figure: str

    def __str__(self) -> str:
        return f"{self.paper} ({self.arxiv}), {self.figure}"


@dataclass(frozen=True)
class Experiment:
    """One experiment: its name, its file, its first line, its source, its study at each scale."""

    name: str
    path: Path
    summary: str
    source: Source | None
    studies: dict[Scale, Study]


def experiments() -> tuple[Experiment, ...]:
    """Every experiment that ships, by name.

    Raises:
        InputError: this installation has none, or one of them cannot be run.
    """
    return tuple(map(_experiment, _paths().values()))


def find_experiment(name: str | Path) -> Path:
    """The file that `name` is: a path, or the name of an experiment that ships.

    Raises:
        InputError: neither, with the nearest name.
    """
    path = Path(name)
    if path.suffix or path.is_file() or len(path.parts) != 1:
        return path
    paths = _paths()
    if (key := _name(path)) not in paths:
        raise InputError(
            f"experiment {key!r} is neither a Python file nor one that ships"
            f"{suggestion(key, list(paths))}"
        )
    return paths[key]


def _experiment(path: Path) -> Experiment:
    module = run_module(path)
    source = getattr(module, "source", None)
    return Experiment(
        name=_name(path),
        path=path,
        summary=(module.__doc__ or "").strip().partition("\n")[0],
        source=source if isinstance(source, Source) else None,
        studies={scale: study_of(module, path, scale) for scale in SCALES},
    )


def _paths() -> dict[str, Path]:
    """The files of the clone that this package lies in, or else those it was installed with."""
    beside = Path(__file__).parents[3] / "experiments"
    installed = Path(sysconfig.get_path("data")) / "share" / "scaling_jax" / "experiments"
    for directory in (beside, installed):
        if found := sorted(directory.glob("*.py")):
            return {_name(path): path for path in found}
    raise InputError(f"no experiments in {beside} or {installed}: give a Python file")


def _name(path: Path) -> str:
    return path.stem.replace("_", "-")
