"""From a recipe and a design to trained runs: plan, store, execution, status.

Belongs here: whatever is about several runs. Does not: training one run (`train`), one run's files
(`runs`), or fitting laws to the results (`laws`). Describing and planning a study loads no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from scaling_jax.api import public_names
from scaling_jax.shapes.equal_size import Proportions as Proportions
from scaling_jax.shapes.table import ShapeTable as ShapeTable
from scaling_jax.study.plan.batch_branches import BatchBranches as BatchBranches
from scaling_jax.study.plan.branched import Branched as Branched
from scaling_jax.study.plan.design import Branch as Branch
from scaling_jax.study.plan.design import FixedModels as FixedModels
from scaling_jax.study.plan.design import IsoFlop as IsoFlop
from scaling_jax.study.plan.design import PlannedRun as PlannedRun
from scaling_jax.study.plan.design import ShapeGrid as ShapeGrid
from scaling_jax.study.plan.design import around as around
from scaling_jax.study.plan.experiment_files import Experiment as Experiment
from scaling_jax.study.plan.experiment_files import Source as Source
from scaling_jax.study.plan.experiment_files import experiments as experiments
from scaling_jax.study.plan.experiment_files import find_experiment as find_experiment
from scaling_jax.study.plan.experiment_files import load_experiment as load_experiment
from scaling_jax.study.plan.extrapolation import Extrapolation as Extrapolation
from scaling_jax.study.plan.overrides import override as override
from scaling_jax.study.plan.published_rules import DeepSeekBatch as DeepSeekBatch
from scaling_jax.study.plan.published_rules import DeepSeekLR as DeepSeekLR
from scaling_jax.study.plan.published_rules import HoffmannLR as HoffmannLR
from scaling_jax.study.plan.published_rules import KaplanLR as KaplanLR
from scaling_jax.study.plan.published_rules import PorianBatch as PorianBatch
from scaling_jax.study.plan.published_rules import PorianLR as PorianLR
from scaling_jax.study.plan.published_rules import StepLawBatch as StepLawBatch
from scaling_jax.study.plan.published_rules import StepLawLR as StepLawLR
from scaling_jax.study.plan.recipe import Recipe as Recipe
from scaling_jax.study.plan.rules import ComputeLR as ComputeLR
from scaling_jax.study.plan.rules import ConstantBatch as ConstantBatch
from scaling_jax.study.plan.rules import ConstantLR as ConstantLR
from scaling_jax.study.plan.rules import PowerLawBatch as PowerLawBatch
from scaling_jax.study.plan.rules import PowerLawLR as PowerLawLR
from scaling_jax.study.plan.rules import ScaledByBatch as ScaledByBatch
from scaling_jax.study.plan.rules import TunedLR as TunedLR
from scaling_jax.study.plan.rules import Warmup as Warmup
from scaling_jax.study.plan.study import Study as Study
from scaling_jax.study.plan.sweep import Sweep as Sweep
from scaling_jax.study.plan.sweep import chain as chain
from scaling_jax.study.plan.sweep import product as product
from scaling_jax.study.plan.sweep import vary as vary
from scaling_jax.study.plan.sweep import zipped as zipped
from scaling_jax.study.plan.tuning import Tuning as Tuning
from scaling_jax.study.store.branch_losses import branch_losses as branch_losses
from scaling_jax.study.store.loss_curves import curves as curves
from scaling_jax.study.store.noise_scales import noise_scale as noise_scale
from scaling_jax.study.store.records import collect as collect
from scaling_jax.study.store.store import Store as Store
from scaling_jax.study.store.stored_run import StoredRun as StoredRun

if TYPE_CHECKING:
    from scaling_jax.study.execution.check import check_study as check_study
    from scaling_jax.study.execution.execute import run_study as run_study
    from scaling_jax.study.execution.execute import train_runs as train_runs
    from scaling_jax.study.execution.tune import tune as tune

# Imported on first use, since training needs JAX and describing a study does not.
_TRAINING = {
    "check_study": "check",
    "run_study": "execute",
    "train_runs": "execute",
    "tune": "tune",
}


def __getattr__(name: str) -> Any:
    if name not in _TRAINING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.execution.{_TRAINING[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*public_names(globals()), *_TRAINING})
