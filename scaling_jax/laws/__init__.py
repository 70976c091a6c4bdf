"""Scaling laws: fit a table of losses, with the optimum, intervals and what the data can say."""

from scaling_jax.api import public_names
from scaling_jax.laws.allocation import Allocation as Allocation
from scaling_jax.laws.allocation import Estimate as Estimate
from scaling_jax.laws.allocation import Optimum as Optimum
from scaling_jax.laws.allocation import Prediction as Prediction
from scaling_jax.laws.approaches.backtest import Backtest as Backtest
from scaling_jax.laws.approaches.backtest import backtest as backtest
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
from scaling_jax.laws.decisions.compute_multiplier import compute_multiplier as compute_multiplier
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
from scaling_jax.laws.fitted import FrontierFit as FrontierFit
from scaling_jax.laws.fitted import LawFit as LawFit
from scaling_jax.laws.fitting import fit as fit
from scaling_jax.laws.forecasts.freeze import Forecast as Forecast
from scaling_jax.laws.forecasts.freeze import ForecastRun as ForecastRun
from scaling_jax.laws.forecasts.freeze import forecast as forecast
from scaling_jax.laws.forecasts.score import Score as Score
from scaling_jax.laws.forecasts.score import ScoredRun as ScoredRun
from scaling_jax.laws.forecasts.score import score as score
from scaling_jax.laws.frontier_points import EnvelopeSize as EnvelopeSize
from scaling_jax.laws.frontier_points import FrontierPoints as FrontierPoints
from scaling_jax.laws.frontier_points import Minimum as Minimum
from scaling_jax.laws.frontier_points import Span as Span
from scaling_jax.laws.frontier_points import Stop as Stop
from scaling_jax.laws.grouping import GroupedFits as GroupedFits
from scaling_jax.laws.grouping import fit_by as fit_by
from scaling_jax.laws.grouping import side_by_side as side_by_side
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


def __dir__() -> list[str]:
    return public_names(globals())
