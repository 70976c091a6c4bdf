"""How precisely a study would answer, where its runs share a recipe and differ in size and data."""

from contextlib import suppress
from typing import TYPE_CHECKING

from scaling_jax.accounting.flops import count_params
from scaling_jax.errors import InputError
from scaling_jax.study.plan.branched import Branched
from scaling_jax.study.plan.design import Design
from scaling_jax.study.plan.extrapolation import Extrapolation
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.sweep import Sweep

if TYPE_CHECKING:
    from scaling_jax.laws.planning.design_score import Cells, DesignScore


def design_score(study: Study) -> "DesignScore | None":
    """The interval of the answer that a study is expected to give.

    The answer is asked at the largest verification run, or without one at the optimum of
    `laws.conventions.BEYOND` times the largest budget.

    >>> from scaling_jax.study import load_experiment
    >>> study = load_experiment("experiments/chinchilla_isoflop.py")
    >>> round(design_score(study).doubts["loss"].noise, 4)  # of log loss, beside the form's part
    0.0032

    Returns:
        None for a study that no law of size and data is fitted to: a sweep of anything but seeds,
        mixtures of experts, or too few runs, sizes or numbers of tokens for its constants.
    """
    from scaling_jax.laws.planning.answers import Target
    from scaling_jax.laws.planning.design_checks import score

    if (cells := size_and_data_cells(study)) is None:
        return None
    held_out = [run for run in study.plan() if run.role == "verification"]
    target = None
    if held_out:
        largest = max(held_out, key=lambda run: run.budget)
        params = count_params(largest.config.shape).total
        target = Target(largest.budget, params, largest.config.tokens)
    # Too few runs for the law's constants.
    with suppress(InputError):
        return score(cells, target=target)
    return None


def size_and_data_cells(study: Study) -> "Cells | None":
    """The runs of a study that a law of size and data is fitted to; None where none is."""
    from scaling_jax.laws.planning.design_score import Cells

    runs = [run for run in study.plan() if run.role == "grid"]
    is_dense = all(run.config.shape.is_dense for run in runs)
    if not is_dense or not _swept(study.design) <= {"seed"}:
        return None
    params = [count_params(run.config.shape).total for run in runs]
    try:
        return Cells.of(params, [run.config.tokens for run in runs], [run.budget for run in runs])
    except InputError:
        return None


def _swept(design: Design) -> set[str]:
    """Fields of the recipe that a design varies."""
    swept = set[str]()
    while isinstance(design, Sweep | Branched | Extrapolation):
        if isinstance(design, Sweep):
            swept.update(name for variation in design.unnamed for name in variation)
        design = design.ladder if isinstance(design, Extrapolation) else design.design
    return swept
