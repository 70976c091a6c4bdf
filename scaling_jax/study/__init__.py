"""From a recipe and a design to trained runs: plan, store, execution, status.

Belongs here: whatever is about several runs. Does not: training one run (`train`), one run's files
(`runs`), or fitting laws to the results (`laws`). Describing and planning a study loads no JAX.
"""

from typing import TYPE_CHECKING

from scaling_jax.api import on_first_use

if TYPE_CHECKING:
    from scaling_jax.shapes.equal_size import Proportions as Proportions
    from scaling_jax.shapes.table import ShapeTable as ShapeTable
    from scaling_jax.study.execution.check import check_study as check_study
    from scaling_jax.study.execution.execute import run_study as run_study
    from scaling_jax.study.execution.execute import train_runs as train_runs
    from scaling_jax.study.execution.tune import tune as tune
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

# Imported on first use: training needs JAX and describing a study does not, and each command needs
# its own part.
_MODULES = {
    "execution.check": ("check_study",),
    "execution.execute": (
        "run_study",
        "train_runs",
    ),
    "execution.tune": ("tune",),
    "plan.batch_branches": ("BatchBranches",),
    "plan.branched": ("Branched",),
    "plan.design": (
        "Branch",
        "Proportions",
        "ShapeTable",
        "FixedModels",
        "IsoFlop",
        "PlannedRun",
        "ShapeGrid",
        "around",
    ),
    "plan.experiment_files": (
        "Experiment",
        "Source",
        "experiments",
        "find_experiment",
        "load_experiment",
    ),
    "plan.extrapolation": ("Extrapolation",),
    "plan.overrides": ("override",),
    "plan.published_rules": (
        "DeepSeekBatch",
        "DeepSeekLR",
        "HoffmannLR",
        "KaplanLR",
        "PorianBatch",
        "PorianLR",
        "StepLawBatch",
        "StepLawLR",
    ),
    "plan.recipe": ("Recipe",),
    "plan.rules": (
        "ComputeLR",
        "ConstantBatch",
        "ConstantLR",
        "PowerLawBatch",
        "PowerLawLR",
        "ScaledByBatch",
        "TunedLR",
        "Warmup",
    ),
    "plan.study": ("Study",),
    "plan.sweep": (
        "Sweep",
        "chain",
        "product",
        "vary",
        "zipped",
    ),
    "plan.tuning": ("Tuning",),
    "store.branch_losses": ("branch_losses",),
    "store.loss_curves": ("curves",),
    "store.noise_scales": ("noise_scale",),
    "store.records": ("collect",),
    "store.store": ("Store",),
    "store.stored_run": ("StoredRun",),
}

__getattr__, __dir__ = on_first_use(__name__, _MODULES)
