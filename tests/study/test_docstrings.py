"""The examples in the docstrings of what describes a study and of what reports on one."""

import doctest
import importlib
import pkgutil

import pytest

from scaling_jax import study
from scaling_jax.study import plan, status

MODULES = [
    f"{package.__name__}.{found.name}"
    for package in (plan, status)
    for found in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_what_a_study_is_described_with_has_an_example() -> None:
    described = [name for name in dir(study) if _module(name).startswith(plan.__name__)]
    assert {"Study", "Recipe", "IsoFlop", "Sweep", "around", "StepLawLR"} <= set(described)
    without = {name for name in described if ">>>" not in (getattr(study, name).__doc__ or "")}
    # Made by the package, not written by a user.
    assert without == {"Branch", "Experiment", "PlannedRun"}


def _module(name: str) -> str:
    return getattr(getattr(study, name), "__module__", "")
