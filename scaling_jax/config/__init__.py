"""What a run is: its shape, data, optimizer, schedule and identity.

Belongs here: frozen dataclasses that a run's hash is made of, and how they are read from JSON.
Does not: how a run is computed (`execution.py`), and anything that imports JAX.
"""

from scaling_jax.api import public_names
from scaling_jax.config.batch_ramp import BatchRamp as BatchRamp
from scaling_jax.config.data import DataConfig as DataConfig
from scaling_jax.config.dropout import Dropout as Dropout
from scaling_jax.config.evaluation import EvalSet as EvalSet
from scaling_jax.config.evaluation import LogSpaced as LogSpaced
from scaling_jax.config.noise_scale import NoiseScale as NoiseScale
from scaling_jax.config.optimizer import OptimizerConfig as OptimizerConfig
from scaling_jax.config.optimizer import OptimizerName as OptimizerName
from scaling_jax.config.optimizer import ScheduleName as ScheduleName
from scaling_jax.config.own_module import OwnModule as OwnModule
from scaling_jax.config.parameterization import Parameterization as Parameterization
from scaling_jax.config.program import program_of as program_of
from scaling_jax.config.run import Precision as Precision
from scaling_jax.config.run import RunConfig as RunConfig
from scaling_jax.config.run import hash_of as hash_of
from scaling_jax.config.shape import DEFAULT_CAPACITY as DEFAULT_CAPACITY
from scaling_jax.config.shape import Activation as Activation
from scaling_jax.config.shape import ArchitectureName as ArchitectureName
from scaling_jax.config.shape import Positions as Positions
from scaling_jax.config.shape import Shape as Shape
from scaling_jax.config.start import Start as Start
from scaling_jax.config.strict import from_dict as from_dict


def __dir__() -> list[str]:
    return public_names(globals())
