"""Studies: recipes, designs, planning, the store, execution."""

from scaling_jax.study.check import check_study as check_study
from scaling_jax.study.design import FixedModels as FixedModels
from scaling_jax.study.design import IsoFlop as IsoFlop
from scaling_jax.study.design import PlannedRun as PlannedRun
from scaling_jax.study.design import around as around
from scaling_jax.study.execute import run_study as run_study
from scaling_jax.study.execute import train_runs as train_runs
from scaling_jax.study.recipe import Recipe as Recipe
from scaling_jax.study.records import collect as collect
from scaling_jax.study.records import curves as curves
from scaling_jax.study.rules import ComputeLR as ComputeLR
from scaling_jax.study.rules import ConstantBatch as ConstantBatch
from scaling_jax.study.rules import ConstantLR as ConstantLR
from scaling_jax.study.rules import HoffmannLR as HoffmannLR
from scaling_jax.study.rules import KaplanLR as KaplanLR
from scaling_jax.study.rules import PowerLawBatch as PowerLawBatch
from scaling_jax.study.rules import PowerLawLR as PowerLawLR
from scaling_jax.study.rules import Warmup as Warmup
from scaling_jax.study.shape_table import ShapeTable as ShapeTable
from scaling_jax.study.store import Store as Store
from scaling_jax.study.store import StoredRun as StoredRun
from scaling_jax.study.study import Study as Study
from scaling_jax.study.study import load_experiment as load_experiment
