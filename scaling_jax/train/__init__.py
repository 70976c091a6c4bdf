"""Training of a run, or of several runs side by side in one program.

Belongs here: mesh, optimizer, step, evaluation, checkpoints, and the loop that calls them.
Does not: the model (`model`), files of a run other than checkpoints (`runs`), and which runs are
trained (`study`).
"""

from scaling_jax.api import public_names
from scaling_jax.execution import Execution as Execution
from scaling_jax.mesh_spec import MeshSpec as MeshSpec
from scaling_jax.train.checkpoint import UnusableCheckpointsError as UnusableCheckpointsError
from scaling_jax.train.inputs import check_same_text as check_same_text
from scaling_jax.train.inputs import load_inputs as load_inputs
from scaling_jax.train.lineage import Lineage as Lineage
from scaling_jax.train.lineage import Origin as Origin
from scaling_jax.train.mesh import make_mesh as make_mesh
from scaling_jax.train.mesh import mesh_for as mesh_for
from scaling_jax.train.run import train_replicas as train_replicas
from scaling_jax.train.run import train_run as train_run


def __dir__() -> list[str]:
    return public_names(globals())
