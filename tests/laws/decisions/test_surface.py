"""Decisions from a user's own law: it is the fit's law that counts, not a law of its name."""

import dataclasses

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.decisions.surface import surface_of

OWN = {
    "sum": dataclasses.replace(CHINCHILLA, name="own"),
    "function": laws.FunctionLaw(
        "own",
        lambda p, v: (
            p["E"] + p["A"] / v["params"] ** p["alpha"] + p["B"] / v["tokens"] ** p["beta"]
        ),
        (
            laws.Parameter("E", 0.3, 3),
            laws.Parameter("A", 1, 1e4),
            laws.Parameter("B", 1, 1e4),
            laws.Parameter("alpha", 0.1, 1),
            laws.Parameter("beta", 0.1, 1),
        ),
        ("params", "tokens"),
        frontier=("alpha", "beta", "A", "B"),
    ),
}


@pytest.fixture(scope="module")
def table():
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 6), [1e9, 4e9, 2e10]))
    return {"params": n, "tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28}


@pytest.mark.parametrize("kind", OWN)
def test_decisions_are_those_of_the_same_published_law(kind, table):
    own = laws.fit(table, law=OWN[kind], bootstrap=0)
    published = laws.fit(table, bootstrap=0)
    assert surface_of(own).floor_R == pytest.approx([1.7], rel=1e-4)
    ranges = [laws.size_range(fit, 0.1) for fit in (own, published)]
    assert ranges[0].smallest.value == pytest.approx(ranges[1].smallest.value, rel=1e-4)
    served = [
        laws.cheapest_served(fit, laws.Demand(1e12), training_flops=1e22)
        for fit in (own, published)
    ]
    assert served[0].params.value == pytest.approx(served[1].params.value, rel=1e-3)


def test_a_function_of_another_shape_is_refused(table):
    bent = dataclasses.replace(
        OWN["function"],
        function=lambda p, v: (
            p["E"]
            + p["A"] / v["params"] ** p["alpha"]
            + p["B"] / v["tokens"] ** p["beta"]
            + 1 / v["tokens"] ** 0.1
        ),
    )
    with pytest.raises(InputError, match="is not E"):
        laws.Surface.of(bent, CHINCHILLA.published["besiroglu-2024"])
