"""Tables whose losses do not fall with size or with data."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.diagnostics.table_slopes import slope_notes
from scaling_jax.laws.tables.select import usable_rows


def table(of_params: float, of_tokens: float, spread: float = 5.0) -> pd.DataFrame:
    """Four budgets of five sizes, with losses that are powers of size and of data."""
    budget = np.repeat(np.geomspace(1e17, 1e20, 4), 5)
    params = 3e7 * (budget / 1e17) ** 0.5 * np.tile(np.geomspace(1 / spread, spread, 5), 4)
    tokens = budget / 6 / params
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(20))
    loss = 1.5 + (params / 1e8) ** -of_params + (tokens / 1e9) ** -of_tokens
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss * noise})


@pytest.mark.parametrize(
    ("powers", "message"),
    [
        ((0.3, 0.3), None),
        ((-0.1, 0.3), "At equal tokens the losses rise with params"),
        ((0.3, -0.1), "At equal params the losses rise with tokens"),
        ((0.0, 0.3), "At equal tokens the losses do not change with params"),
    ],
)
def test_what_does_not_fall_is_named(powers: tuple[float, float], message: str | None) -> None:
    notes = slope_notes(usable_rows(table(*powers)))
    assert len(notes) == (message is not None)
    if message is not None:
        assert notes[0].startswith(message)


def test_one_ray_of_tokens_per_parameter_tells_neither() -> None:
    ray = table(0.3, 0.3)
    ray["tokens"] = 20 * ray["params"]
    assert slope_notes(usable_rows(ray)) == ()


def test_a_fit_by_auto_says_so_before_its_optimum() -> None:
    fit = laws.fit(table(-0.1, 0.3), law="auto", bootstrap=0)
    assert next(note.code for note in fit.diagnostics) == "loss-rises"
    assert "rise with params" in fit.diagnostics[0]
    sound = laws.fit(table(0.3, 0.3), law="auto", bootstrap=0)
    assert "loss-rises" not in [note.code for note in sound.diagnostics]
