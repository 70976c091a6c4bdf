"""Experiment files: Python modules that define a study at each scale."""

import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from scaling_jax import formatting
from scaling_jax.accounting.hardware import chip
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.study import Study
from scaling_jax.user_modules import load_module

Scale = Literal["full", "cpu", "smoke"]

# The name of the module's attribute that holds the study of each scale.
SCALES: dict[Scale, str] = {"full": "study", "cpu": "cpu", "smoke": "smoke"}

# What one core of a CPU reaches with models of ten to a hundred thousand parameters, compilation
# left out, and what docs/gpu.md measured on an H100, as a share of its peak.
_CORE_FLOPS = 1e10
_CORE_MOST = 1e15
_CHIP, _UTILIZATION = "h100", 0.43

_FIGURE = re.compile(r"^ +(python experiments/\S+\.py .*\.svg.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """The publication that an experiment reproduces; its module's attribute `source`.

    >>> print(Source("Hoffmann et al. 2022", "2203.15556", "figure 3"))
    Hoffmann et al. 2022 (2203.15556), figure 3

    Attributes:
        paper: authors and year.
        arxiv: arXiv number.
        figure: the figure, table or section.
    """

    paper: str
    arxiv: str
    figure: str

    def __str__(self) -> str:
        return f"{self.paper} ({self.arxiv}), {self.figure}"


@dataclass(frozen=True)
class Experiment:
    """One experiment that comes with the package.

    Attributes:
        name: as commands take it.
        path: its file.
        summary: the first line of the module's docstring, which says what it answers.
        source: the publication it reproduces, if any.
        studies: its study at each scale.
        draws: the command that draws its figure, as the module's docstring gives it; None where
            the figures are those of `scaling-jax report`.
    """

    name: str
    path: Path
    summary: str
    source: Source | None
    studies: dict[Scale, Study]
    draws: str | None = None

    def __str__(self) -> str:
        rows = [
            f"  {scale:<6}{len(study.plan()):>5,} runs  "
            f"{formatting.flops(study.flops_spent):>8} FLOPs  "
            f"{_time(study.flops_spent)}"
            for scale, study in reversed(self.studies.items())
        ]
        source = [f"  {self.source}"] if self.source else []
        figure = f"  figure: {self.draws or 'scaling-jax report'}"
        return "\n".join([self.name, f"  {self.summary}", *source, *rows, figure])

    def data(self) -> dict[str, Any]:
        """The experiment as plain data, with runs and FLOPs of its studies."""
        return {
            "name": self.name,
            "path": str(self.path),
            "summary": self.summary,
            "paper": self.source and self.source.paper,
            "arxiv": self.source and self.source.arxiv,
            "figure": self.source and self.source.figure,
            "draws": self.draws,
            "scales": {
                scale: {
                    "study": study.name,
                    "runs": len(study.plan()),
                    "flops": study.flops_spent,
                    "time": _time(study.flops_spent),
                }
                for scale, study in self.studies.items()
            },
        }


def experiments() -> tuple[Experiment, ...]:
    """Every experiment that comes with the package, sorted by name.

    >>> [experiment.name for experiment in experiments()][:2]
    ['chinchilla-horizons', 'chinchilla-isoflop']

    Raises:
        InputError: this installation has no experiments, or one of them does not run.
    """
    return tuple(map(_experiment, _paths().values()))


def find_experiment(name: str | Path) -> Path:
    """The file of an experiment: `name` itself if it is a path, or the file of a known name.

    >>> find_experiment("chinchilla-isoflop").name
    'chinchilla_isoflop.py'

    Raises:
        InputError: neither a path nor a known name. The message suggests the nearest name.
    """
    path = Path(name)
    if path.suffix or path.is_file() or len(path.parts) != 1:
        return path
    paths = _paths()
    if (key := _name(path)) not in paths:
        raise InputError(
            f"experiment {key!r} is neither a Python file nor a built-in experiment"
            f"{suggestion(key, list(paths))}"
        )
    return paths[key]


def ships(name: str) -> bool:
    """Whether an experiment of this name comes with the package."""
    try:
        return name in _paths()
    except InputError:
        return False


def load_experiment(path: str | Path, scale: Scale = "full") -> Study:
    """The study that the Python module at `path` defines for `scale`.

    >>> load_experiment(find_experiment("chinchilla-isoflop"), "cpu").name
    'chinchilla-isoflop-cpu'

    Raises:
        InputError: a file that does not exist, does not run (the message names the line), or
            defines no study of that scale.
    """
    path = Path(path)
    return _study(load_module(path, "experiment"), path, scale)


def _experiment(path: Path) -> Experiment:
    module = load_module(path, "experiment")
    source = getattr(module, "source", None)
    figure = _FIGURE.search(module.__doc__ or "")
    return Experiment(
        name=_name(path),
        path=path,
        summary=(module.__doc__ or "").strip().partition("\n")[0],
        source=source if isinstance(source, Source) else None,
        studies={scale: _study(module, path, scale) for scale in SCALES},
        draws=figure.group(1) if figure else None,
    )


def _time(flops: float) -> str:
    """About how long training takes: on one core of a CPU, or on an H100 where that takes days."""
    if flops > _CORE_MOST:
        return (
            f"{formatting.duration(flops / (_UTILIZATION * chip(_CHIP).bfloat16_flops))} on an H100"
        )
    return f"{formatting.duration(flops / _CORE_FLOPS)} of a core"


def _study(module: ModuleType, path: Path, scale: Scale) -> Study:
    study = getattr(module, SCALES[scale], None)
    if not isinstance(study, Study):
        defined = [name for name, attribute in SCALES.items() if hasattr(module, attribute)]
        raise InputError(
            f"experiment {path} defines no scaling_jax Study named {SCALES[scale]!r} for scale "
            f"{scale!r}: it has {', '.join(defined) or 'none'}"
        )
    return study


def _paths() -> dict[str, Path]:
    """Name and file of each experiment, from the clone that holds this package or as installed."""
    beside = Path(__file__).parents[3] / "experiments"
    installed = Path(sysconfig.get_path("data")) / "share" / "scaling_jax" / "experiments"
    for directory in (beside, installed):
        if found := sorted(directory.glob("*.py")):
            return {_name(path): path for path in found}
    raise InputError(f"no experiments in {beside} or {installed}: give a Python file")


def _name(path: Path) -> str:
    return path.stem.replace("_", "-")
