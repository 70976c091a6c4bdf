"""The examples in the docstrings of configurations and shapes."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["config.run", "config.shape", "shapes.family"])
def test_examples_give_what_they_show(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"scaling_jax.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
