"""What can be done with a trained model: measure its loss, sample from it, export it.

Belongs here: models read from a run's checkpoint or from exported files, and what uses them.
Does not: training (`train`), and which runs a study has (`study`).
"""

from scaling_jax.api import public_names
from scaling_jax.trained.importing import import_model as import_model
from scaling_jax.trained.language_model import LanguageModel as LanguageModel
from scaling_jax.trained.paired import PairedDifference as PairedDifference
from scaling_jax.trained.paired import compare_runs as compare_runs
from scaling_jax.trained.run import TrainedRun as TrainedRun
from scaling_jax.trained.run import load_run as load_run


def __dir__() -> list[str]:
    return public_names(globals())
