"""The noise between seeds, and laws that miss by more."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws


def ladder(noise: float, bend: float = 0.0, seeds: int = 3) -> pd.DataFrame:
    """Runs of 16 cells, each with several seeds; a bend that no power of size and data has."""
    rng = np.random.default_rng(0)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4)))
    loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    loss *= np.exp(bend * np.cos(2 * np.log(n)))
    frame = pd.concat([pd.DataFrame(dict(params=n, tokens=d, seed=s)) for s in range(seeds)])
    frame["loss"] = np.tile(loss, seeds) * np.exp(noise * rng.standard_normal(len(frame)))
    frame["run_id"] = [f"run{i}" for i in range(len(frame))]
    return frame.reset_index(drop=True)


def codes(fit: laws.Fit) -> set[str]:
    return {note.code for note in fit.diagnostics}


def test_the_noise_between_seeds_is_said_and_a_right_law_does_not_lack_fit() -> None:
    fit = laws.fit(ladder(0.004), bootstrap=0)
    (note,) = (note for note in fit.diagnostics if note.code == "seed-noise")
    assert "16 sizes and lengths" in note
    assert "32 degrees of freedom" in note
    scatter = float(note.split("scatter by ")[1].split(" %")[0])
    assert scatter == pytest.approx(0.4, rel=0.25)
    assert "lack-of-fit" not in codes(fit)


def test_a_law_that_misses_by_more_than_seeds_do_lacks_fit() -> None:
    fit = laws.fit(ladder(0.001, bend=0.006), bootstrap=0)
    assert {"seed-noise", "lack-of-fit"} <= codes(fit)


def test_rows_of_one_seed_and_sweeps_show_no_noise() -> None:
    assert "seed-noise" not in codes(laws.fit(ladder(0.004, seeds=1), bootstrap=0))
    swept = ladder(0.004)
    swept["peak_lr"] = 1e-3 * (1 + swept["seed"])
    assert "seed-noise" not in codes(laws.fit(swept, bootstrap=0))
