"""The law from loss to loss: a known law is found, and residuals show what depends on the size."""

import numpy as np
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.curves import LossToLoss, loss_to_loss

SIZE_R = np.geomspace(1e4, 1e6, 6)
PROGRESS_T = np.geomspace(0.05, 1, 10)
SIZE_N, PROGRESS_N = (grid.ravel() for grid in np.meshgrid(SIZE_R, PROGRESS_T, indexing="ij"))
TRAIN_N = 1.2 + 20 * SIZE_N**-0.3 + 0.4 * PROGRESS_N**-0.4


def found(extra_N: np.ndarray) -> LossToLoss:
    noise_N = np.random.default_rng(0).normal(0, 0.002, len(TRAIN_N))
    other_N = 1.3 * (TRAIN_N - 0.8) ** 0.9 + 1.5 + extra_N + noise_N
    return loss_to_loss(
        TRAIN_N, other_N, size_N=SIZE_N, progress_N=PROGRESS_N, run_N=SIZE_N.astype(int)
    )


def test_where_one_loss_gives_the_other_the_residuals_have_no_slope() -> None:
    law = found(np.zeros(len(TRAIN_N)))
    wanted = 1.3 * (TRAIN_N - 0.8) ** 0.9 + 1.5
    assert law.other_loss(TRAIN_N) == pytest.approx(wanted, abs=0.003)
    assert law.rms == pytest.approx(0.002, rel=0.3)
    assert law.rank_correlation > 0.99
    for low, high in (law.size_slope_interval, law.progress_slope_interval):
        assert low < 0.0005
        assert high > -0.0005


def test_a_loss_that_also_depends_on_the_size_shows_as_a_slope() -> None:
    law = found(-0.03 * np.log(SIZE_N / 1e5))
    assert law.size_slope_interval[1] < -0.005


def test_too_few_checkpoints_are_refused() -> None:
    few = slice(4)
    with pytest.raises(InputError, match="4 checkpoints of 1 runs"):
        loss_to_loss(
            TRAIN_N[few],
            TRAIN_N[few],
            size_N=SIZE_N[few],
            progress_N=PROGRESS_N[few],
            run_N=np.zeros(4),
        )
