"""Scaling laws: fit a table of losses, with the optimum, intervals and what the data can say."""

from typing import TYPE_CHECKING

from scaling_jax.api import on_first_use

if TYPE_CHECKING:
    from scaling_jax.laws.allocation import Allocation as Allocation
    from scaling_jax.laws.allocation import Estimate as Estimate
    from scaling_jax.laws.allocation import Optimum as Optimum
    from scaling_jax.laws.allocation import Prediction as Prediction
    from scaling_jax.laws.approaches.backtest import Backtest as Backtest
    from scaling_jax.laws.approaches.backtest import backtest as backtest
    from scaling_jax.laws.approaches.critical_batch import CriticalBatch as CriticalBatch
    from scaling_jax.laws.approaches.critical_batch import critical_batch as critical_batch
    from scaling_jax.laws.approaches.largest_batch import largest_batch as largest_batch
    from scaling_jax.laws.approaches.minimum_compute import MinimumCompute as MinimumCompute
    from scaling_jax.laws.approaches.minimum_compute import minimum_compute as minimum_compute
    from scaling_jax.laws.catalogue import LAWS as LAWS
    from scaling_jax.laws.catalogue import Law as Law
    from scaling_jax.laws.catalogue import PowerSum as PowerSum
    from scaling_jax.laws.catalogue import Term as Term
    from scaling_jax.laws.catalogue import law_named as law_named
    from scaling_jax.laws.catalogue.find import find_law as find_law
    from scaling_jax.laws.catalogue.from_function import law_from_function as law_from_function
    from scaling_jax.laws.catalogue.function import FunctionLaw as FunctionLaw
    from scaling_jax.laws.catalogue.function import Parameter as Parameter
    from scaling_jax.laws.comparison import Comparison as Comparison
    from scaling_jax.laws.comparison import compare as compare
    from scaling_jax.laws.curves import RunEnd as RunEnd
    from scaling_jax.laws.curves import run_ends as run_ends
    from scaling_jax.laws.decisions.compute_multiplier import ComputeMultiplier as ComputeMultiplier
    from scaling_jax.laws.decisions.compute_multiplier import (
        compute_multiplier as compute_multiplier,
    )
    from scaling_jax.laws.decisions.off_optimum import Deviation as Deviation
    from scaling_jax.laws.decisions.off_optimum import SizeRange as SizeRange
    from scaling_jax.laws.decisions.off_optimum import size_deviation as size_deviation
    from scaling_jax.laws.decisions.off_optimum import size_range as size_range
    from scaling_jax.laws.decisions.repeated_data import Decay as Decay
    from scaling_jax.laws.decisions.repeated_data import RepeatedOptimum as RepeatedOptimum
    from scaling_jax.laws.decisions.repeated_data import repeated_loss as repeated_loss
    from scaling_jax.laws.decisions.repeated_data import repeated_optimum as repeated_optimum
    from scaling_jax.laws.decisions.serving import Demand as Demand
    from scaling_jax.laws.decisions.serving import Rate as Rate
    from scaling_jax.laws.decisions.serving import ServedOptimum as ServedOptimum
    from scaling_jax.laws.decisions.serving import best_served as best_served
    from scaling_jax.laws.decisions.serving import cheapest_served as cheapest_served
    from scaling_jax.laws.decisions.surface import Surface as Surface
    from scaling_jax.laws.decisions.training_cost import TrainingCost as TrainingCost
    from scaling_jax.laws.decisions.training_cost import training_cost as training_cost
    from scaling_jax.laws.decisions.two_stage import Chain as Chain
    from scaling_jax.laws.diagnostics.mixed_recipes import missing_runs as missing_runs
    from scaling_jax.laws.diagnostics.mixed_recipes import mixed_knobs as mixed_knobs
    from scaling_jax.laws.extrapolation.sensitivity import Sensitivity as Sensitivity
    from scaling_jax.laws.extrapolation.sensitivity import sensitivity as sensitivity
    from scaling_jax.laws.fitted import Fit as Fit
    from scaling_jax.laws.fitting import fit as fit
    from scaling_jax.laws.forecasts.freeze import Forecast as Forecast
    from scaling_jax.laws.forecasts.freeze import ForecastRun as ForecastRun
    from scaling_jax.laws.forecasts.freeze import forecast as forecast
    from scaling_jax.laws.forecasts.score import Score as Score
    from scaling_jax.laws.forecasts.score import ScoredRun as ScoredRun
    from scaling_jax.laws.forecasts.score import score as score
    from scaling_jax.laws.frontier_fit import FrontierFit as FrontierFit
    from scaling_jax.laws.frontier_points import EnvelopeSize as EnvelopeSize
    from scaling_jax.laws.frontier_points import FrontierPoints as FrontierPoints
    from scaling_jax.laws.frontier_points import Minimum as Minimum
    from scaling_jax.laws.frontier_points import Span as Span
    from scaling_jax.laws.frontier_points import Stop as Stop
    from scaling_jax.laws.grouping import GroupedFits as GroupedFits
    from scaling_jax.laws.grouping import fit_by as fit_by
    from scaling_jax.laws.grouping import side_by_side as side_by_side
    from scaling_jax.laws.kaplan_frontier import KaplanFrontier as KaplanFrontier
    from scaling_jax.laws.kaplan_frontier import KaplanOptimum as KaplanOptimum
    from scaling_jax.laws.law_fit import LawFit as LawFit
    from scaling_jax.laws.notes import Note as Note
    from scaling_jax.laws.notes import NoteCode as NoteCode
    from scaling_jax.laws.tables.read import best_of as best_of
    from scaling_jax.laws.tables.read import read_table as read_table
    from scaling_jax.laws.two_steps import TaskPrediction as TaskPrediction
    from scaling_jax.laws.two_steps import predict_task as predict_task
    from scaling_jax.laws.uncertainty.profile import Profile as Profile
    from scaling_jax.laws.uncertainty.profile import profile as profile
    from scaling_jax.laws.uncertainty.profile_table import Profiles as Profiles
    from scaling_jax.laws.uncertainty.profile_table import profiles as profiles

# The names of each module, imported on first use: a command needs few of these modules.
_MODULES = {
    "allocation": ("Allocation", "Estimate", "Optimum", "Prediction"),
    "approaches.backtest": ("Backtest", "backtest"),
    "approaches.critical_batch": ("CriticalBatch", "critical_batch"),
    "approaches.largest_batch": ("largest_batch",),
    "approaches.minimum_compute": ("MinimumCompute", "minimum_compute"),
    "catalogue": ("LAWS", "Law", "PowerSum", "Term", "law_named"),
    "catalogue.find": ("find_law",),
    "catalogue.from_function": ("law_from_function",),
    "catalogue.function": ("FunctionLaw", "Parameter"),
    "comparison": ("Comparison", "compare"),
    "curves": ("RunEnd", "run_ends"),
    "decisions.compute_multiplier": ("ComputeMultiplier", "compute_multiplier"),
    "decisions.off_optimum": ("Deviation", "SizeRange", "size_deviation", "size_range"),
    "decisions.repeated_data": ("Decay", "RepeatedOptimum", "repeated_loss", "repeated_optimum"),
    "decisions.serving": ("Demand", "Rate", "ServedOptimum", "best_served", "cheapest_served"),
    "decisions.surface": ("Surface",),
    "decisions.training_cost": ("TrainingCost", "training_cost"),
    "decisions.two_stage": ("Chain",),
    "diagnostics.mixed_recipes": ("missing_runs", "mixed_knobs"),
    "extrapolation.sensitivity": ("Sensitivity", "sensitivity"),
    "fitted": ("Fit",),
    "fitting": ("fit",),
    "forecasts.freeze": ("Forecast", "ForecastRun", "forecast"),
    "forecasts.score": ("Score", "ScoredRun", "score"),
    "frontier_fit": ("FrontierFit",),
    "frontier_points": ("EnvelopeSize", "FrontierPoints", "Minimum", "Span", "Stop"),
    "grouping": ("GroupedFits", "fit_by", "side_by_side"),
    "kaplan_frontier": ("KaplanFrontier", "KaplanOptimum"),
    "law_fit": ("LawFit",),
    "notes": ("Note", "NoteCode"),
    "tables.read": ("best_of", "read_table"),
    "two_steps": ("TaskPrediction", "predict_task"),
    "uncertainty.profile": ("Profile", "profile"),
    "uncertainty.profile_table": ("Profiles", "profiles"),
}

__getattr__, __dir__ = on_first_use(__name__, _MODULES)
