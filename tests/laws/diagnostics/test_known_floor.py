"""The fitted floor beside the known entropy of the text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws import Fit, NoteCode
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.diagnostics.known_floor import known_floor

TRUE = {"E": 1.2, "A": 40.0, "alpha": 0.4, "B": 60.0, "beta": 0.35}


def table(entropy: object, noise: float = 0.0) -> pd.DataFrame:
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e4, 1e6, 6), np.geomspace(1e6, 1e8, 5)))
    loss = TRUE["E"] + TRUE["A"] / n ** TRUE["alpha"] + TRUE["B"] / d ** TRUE["beta"]
    loss *= np.exp(np.random.default_rng(0).normal(0, noise, size=len(n)))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss, "entropy": entropy})


def notes(fit: Fit, entropy: object) -> list[str]:
    return [str(note) for note in known_floor(table(entropy), fit, CHINCHILLA)]


@pytest.fixture(scope="module")
def fit() -> Fit:
    return laws.fit(table(1.25, noise=0.002), bootstrap=30, unit="nats")


def test_a_fit_says_how_far_the_floor_is_from_the_entropy(fit: Fit) -> None:
    (note,) = [str(note) for note in fit.diagnostics if note.code == NoteCode.KNOWN_FLOOR]
    floor = fit.params["E"]
    assert note.startswith("The text has an entropy of 1.2500 nats per token")
    assert f"E, {floor:.4f}, is {100 * (floor / 1.25 - 1):+.1f} % from it" in note


def test_the_interval_contains_the_truth_or_misses_it(fit: Fit) -> None:
    assert fit.intervals is not None
    low, high = fit.intervals["E"]
    for entropy, where in (((low + high) / 2, "contains"), (low - 0.01, "misses")):
        (note,) = notes(fit, entropy)
        assert note.endswith(f"its interval, {low:.4f} to {high:.4f}, {where} it.")


@pytest.mark.parametrize("entropy", [None, np.nan, [1.2] * 15 + [1.3] * 15, [1.2] * 29 + [np.nan]])
def test_without_one_known_entropy_there_is_no_note(fit: Fit, entropy: object) -> None:
    assert notes(fit, entropy) == []


@pytest.mark.parametrize("unit", ["", "bits per byte"])
def test_a_loss_of_another_unit_is_not_compared(fit: Fit, unit: str) -> None:
    assert notes(replace(fit, unit=unit), 1.2) == []
