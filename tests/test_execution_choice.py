"""The choice of recomputation, microbatches and mesh by which a run fits."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.accounting.hardware import CHIPS, GIB, Chip
from scaling_jax.config import DataConfig, NoiseScale, OptimizerConfig, RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import (
    MARGIN,
    Chips,
    chosen_execution,
    estimated_memory,
    fewest_chips,
    is_estimated_to_fit,
)
from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.shapes import CHINCHILLA_SHAPES

OPEN = Execution()
LARGE = RunConfig(
    CHINCHILLA_SHAPES[-1], DataConfig(), OptimizerConfig(1e-4, 1), 256, 10, 1024, "bfloat16"
)
SMALL = dataclasses.replace(LARGE, shape=CHINCHILLA_SHAPES[0])
V5E = Chips(CHIPS["v5e"], 16)


def run_of(i: int) -> RunConfig:
    return dataclasses.replace(LARGE, shape=CHINCHILLA_SHAPES[i])


def test_a_run_that_fits_neither_recomputes_nor_splits_its_batch() -> None:
    chosen = chosen_execution(SMALL, OPEN, Chips(CHIPS["v5p"], 8))
    assert chosen == Execution(remat="none", accumulate=1)


def test_chips_that_do_not_divide_the_batch_of_a_noise_measurement_are_refused() -> None:
    measured = dataclasses.replace(SMALL, noise_scale=NoiseScale(small=2))
    assert fewest_chips(measured, OPEN, V5E.chip) == 1
    assert chosen_execution(measured, OPEN, Chips(V5E.chip, 2))
    with pytest.raises(InputError, match="small 2 does not divide over 4 devices: set it to"):
        chosen_execution(measured, OPEN, Chips(V5E.chip, 4))


def test_nothing_is_chosen_on_a_cpu() -> None:
    tiny = Chip("cpu", 1e9, 1e9, 1e9, GIB, GIB, None, None)
    assert chosen_execution(LARGE, OPEN, Chips(tiny)) is OPEN


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, len(CHINCHILLA_SHAPES) - 1),
    st.sampled_from(["v5e", "v5p", "h100", "tpu7x"]),
    st.sampled_from([1, 4, 16, 64]),
)
def test_the_choice_fits_wherever_any_given_choice_does(i: int, name: str, n: int) -> None:
    run, chips = run_of(i), Chips(CHIPS[name], n)
    chosen = chosen_execution(run, OPEN, chips)
    memory = estimated_memory(run, chosen, chips)
    frugal = Execution(remat="full", accumulate=256 // chips.n_devices)
    if MARGIN * estimated_memory(run, frugal, chips).total * (chips.chip.jax_devices) <= (
        chips.chip.usable_bytes
    ):
        assert is_estimated_to_fit(memory, OPEN, chips)
    # Another process, or another attempt, chooses alike.
    assert chosen == chosen_execution(run, OPEN, chips)


@pytest.mark.parametrize(
    "given_choice",
    [
        Execution(remat="full"),
        Execution(accumulate=4),
        Execution(remat="dots", accumulate=2),
        Execution(mesh=MeshSpec(data=2, fsdp=8)),
        Execution(mesh=MeshSpec(tensor=4)),
        Execution(attention="xla", loss_chunks=64),
    ],
)
def test_what_the_user_gives_stays(given_choice: Execution) -> None:
    chosen = chosen_execution(run_of(-3), given_choice, V5E)
    for name in ("remat", "accumulate", "attention", "loss_chunks"):
        if getattr(given_choice, name) is not None:
            assert getattr(chosen, name) == getattr(given_choice, name)
    for axis, size in given_choice.mesh.sizes.items():
        if size not in (None, 1):
            assert getattr(chosen.mesh, axis) == size


def test_a_choice_of_the_users_that_does_not_fit_is_kept() -> None:
    given_choice = Execution(remat="none", accumulate=1)
    memory = estimated_memory(LARGE, chosen_execution(LARGE, given_choice, V5E), V5E)
    assert not is_estimated_to_fit(memory, given_choice, V5E)


def test_where_nothing_fits_the_least_memory_is_chosen() -> None:
    least = estimated_memory(LARGE, chosen_execution(LARGE, OPEN, V5E), V5E).total
    assert MARGIN * least > V5E.chip.usable_bytes
    for remat in ("none", "dots", "full"):
        for accumulate in (1, 4, 16):
            execution = Execution(remat=remat, accumulate=accumulate)  # type: ignore[arg-type]
            assert estimated_memory(LARGE, execution, V5E).total >= least


def test_less_memory_is_chosen_where_less_can_be_used() -> None:
    run = run_of(20)
    whole, half = (chosen_execution(run, OPEN, V5E, share) for share in (1.0, 0.5))
    needed = estimated_memory(run, half, V5E).total
    assert MARGIN * needed <= V5E.chip.usable_bytes / 2
    assert needed < estimated_memory(run, whole, V5E).total


def test_parameters_are_sharded_within_a_slice() -> None:
    chosen = chosen_execution(run_of(40), OPEN, Chips(CHIPS["v5e"], 64, slices=4))
    assert (chosen.mesh.fsdp or 1) * chosen.mesh.tensor <= 16


def test_small_models_keep_copies_and_large_ones_share() -> None:
    full, chip = Execution(remat="full"), CHIPS["v5e"]
    small, large = (estimated_memory(run, full, Chips(chip, 64)) for run in (SMALL, LARGE))
    assert small.params == estimated_memory(SMALL, full, Chips(chip, 1)).params
    assert large.params < 16 * GIB / 4


def test_chips_that_the_batch_does_not_divide_over_are_refused() -> None:
    chips = Chips(CHIPS["v5p"], 512)
    for find in (estimated_memory, chosen_execution):
        with pytest.raises(InputError, match="batch_size 256 does not divide over 512 devices"):
            find(LARGE, OPEN, chips)
