"""The examples in the docstrings of the laws run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

from scaling_jax import laws

MODULES = [module.name for module in pkgutil.walk_packages(laws.__path__, "scaling_jax.laws.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
