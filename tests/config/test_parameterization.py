import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from scaling_jax.config.parameterization import Parameterization
from scaling_jax.errors import InputError

COMPLETEP = Parameterization("completep", base_d_model=32, base_head_dim=8, base_n_layers=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rule": "mupp"}, "parameterization is 'mupp' .*; did you mean 'mup'"),
        ({"rule": "mup", "base_d_model": 64}, "parameterization mup lacks base_head_dim: give"),
        ({"base_d_model": 64}, "base_d_model 64 has no effect under parameterization standard"),
        (
            dataclasses.asdict(COMPLETEP) | {"rule": "mup"},
            "base_n_layers 2 has no effect under parameterization mup",
        ),
        (
            {"rule": "mup", "base_d_model": 0, "base_head_dim": 8},
            "base_d_model 0 must be at least 1",
        ),
    ],
)
def test_impossible_parameterizations_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Parameterization(**fields)


def test_numbers_of_numpy_become_pythons() -> None:
    two = np.int64(2)
    mup = Parameterization("mup", base_d_model=two, base_head_dim=two)  # type: ignore[arg-type]
    assert json.dumps(dataclasses.asdict(mup))
