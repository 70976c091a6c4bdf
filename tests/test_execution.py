import dataclasses
import json

import numpy as np

from scaling_jax.execution import Execution
from scaling_jax.mesh_spec import MeshSpec


def test_how_a_run_is_computed_takes_numbers_of_numpy_as_pythons() -> None:
    two = np.int64(2)
    ours = Execution(accumulate=2, mesh=MeshSpec(data=2))
    numpys = Execution(accumulate=two, mesh=MeshSpec(data=two))  # type: ignore[arg-type]
    assert json.dumps(dataclasses.asdict(numpys)) == json.dumps(dataclasses.asdict(ours))
