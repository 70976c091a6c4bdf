"""Training one run: mesh, step, checkpoints, evaluation, loop."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling_jax.train.checkpoint import UnusableCheckpointsError as UnusableCheckpointsError
    from scaling_jax.train.execution import Execution as Execution
    from scaling_jax.train.inputs import check_same_text as check_same_text
    from scaling_jax.train.inputs import load_inputs as load_inputs
    from scaling_jax.train.lineage import Lineage as Lineage
    from scaling_jax.train.lineage import Origin as Origin
    from scaling_jax.train.mesh import make_mesh as make_mesh
    from scaling_jax.train.mesh import mesh_for as mesh_for
    from scaling_jax.train.mesh_spec import MeshSpec as MeshSpec
    from scaling_jax.train.run import program_of as program_of
    from scaling_jax.train.run import train_replicas as train_replicas
    from scaling_jax.train.run import train_run as train_run

# Looked up on first use: the command line can then offer an execution's choices without JAX.
_EXPORTS = {
    "Execution": "execution",
    "Lineage": "lineage",
    "MeshSpec": "mesh_spec",
    "UnusableCheckpointsError": "checkpoint",
    "Origin": "lineage",
    "check_same_text": "inputs",
    "load_inputs": "inputs",
    "make_mesh": "mesh",
    "mesh_for": "mesh",
    "program_of": "run",
    "train_replicas": "run",
    "train_run": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
