"""Magnitudes that no study has raise a question; those of published studies do not."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.diagnostics.units import questions
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.select import usable_rows


def study(params, ratio, loss=2.5):
    params = np.array(params, float)
    return pd.DataFrame({"params": params, "tokens": ratio * params, "loss": loss + 1 / params})


CHINCHILLA = study(np.geomspace(44e6, 16e9, 9), 20)


def questions_about(table):
    return " ".join(questions(usable_rows(checked(table))))


@pytest.mark.parametrize(
    "table",
    [
        CHINCHILLA,
        study(np.geomspace(2e4, 1e6, 7), 5),
        study(np.geomspace(768, 1.5e9, 9), 100),
        study([1e8, 1e9, 1e10], 0.06),
        study([1e8, 1e9, 1e10], 7000),
        study([1e11, 1e12], 20, loss=1.0),
        study([1e6, 2e6], 20, loss=12.4),
        # Runs of seconds: counts of a trainer, not of a table in millions.
        study([4_108, 6_640, 10_250, 15_112], 8),
        CHINCHILLA.assign(flops=lambda t: 3 * t["params"] * t["tokens"]),
        CHINCHILLA.assign(budget=lambda t: 6 * t["params"] * t["tokens"]),
    ],
)
def test_what_studies_have_is_not_questioned(table):
    assert questions_about(table) == ""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (CHINCHILLA.assign(params=CHINCHILLA["params"] / 1e6), "params in millions or billions"),
        (CHINCHILLA.assign(params=CHINCHILLA["params"] / 1e9), "params in millions or billions"),
        (CHINCHILLA.assign(tokens=CHINCHILLA["tokens"] / 1e3), "tokens in thousands"),
        (CHINCHILLA.assign(tokens=CHINCHILLA["tokens"] / 1e9), "tokens in thousands"),
        (study(np.geomspace(1e3, 16e3, 7), 20), "params and tokens in millions"),
        (study([1400, 2900, 6800, 16_000], 20), "params and tokens in millions"),
        (study([1e8, 1e9], 1e6), "params in thousands"),
        (CHINCHILLA.assign(flops=lambda t: 6e-6 * t["params"] * t["tokens"]), "1e6 FLOPs"),
        (CHINCHILLA.assign(flops=lambda t: 6e9 * t["params"] * t["tokens"]), "product is 1e9"),
        (
            CHINCHILLA.assign(flops=lambda t: 6 * t["params"] * t["tokens"] / 8.64e19),
            "petaFLOP/s-days",
        ),
        (CHINCHILLA.assign(budget=lambda t: 6e-18 * t["params"] * t["tokens"]), "column budget"),
        (CHINCHILLA.assign(loss=lambda t: np.exp(4 + 1e8 / t["params"])), "9 of 9 rows"),
    ],
)
def test_mistaken_units_are_questioned(table, words):
    assert words in questions_about(table)


def test_a_fit_asks_first_and_answers_all_the_same():
    rng = np.random.default_rng(0)
    params, tokens = np.exp(rng.uniform(np.log([1e8, 1e9]), np.log([1e10, 1e11]), (40, 2))).T
    loss = (1.7 + 400 / params**0.34 + 410 / tokens**0.28) * np.exp(0.01 * rng.normal(size=40))
    table = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    plain = laws.fit(table, bootstrap=0)
    in_billions = laws.fit(table.assign(tokens=tokens / 1e9), bootstrap=0)
    assert in_billions.diagnostics[0].startswith("Are tokens in thousands, millions or billions?")
    assert in_billions.params["beta"] == pytest.approx(plain.params["beta"], rel=1e-4)
