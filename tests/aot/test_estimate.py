"""Advice fits by the estimate, and less than the advice does not."""

import dataclasses

import pytest

from scaling_jax.accounting.hardware import CHIPS, GIB
from scaling_jax.aot import Topology
from scaling_jax.aot.estimate import MARGIN, estimated_memory, options_that_fit, what_would_fit
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.shapes import CHINCHILLA_SHAPES

LARGE = RunConfig(
    CHINCHILLA_SHAPES[-1], DataConfig(), OptimizerConfig(1e-4, 1), 256, 10, 1024, "bfloat16"
)
SMALL = dataclasses.replace(LARGE, shape=CHINCHILLA_SHAPES[0])
FULL = Execution(remat="full")


def test_a_model_that_fits_needs_nothing() -> None:
    assert options_that_fit(SMALL, FULL, CHIPS["v5p"], 8) == ""


def test_the_least_change_that_is_enough_is_named() -> None:
    chip, run = CHIPS["v5p"], dataclasses.replace(LARGE, batch_size=384)
    assert options_that_fit(run, Execution(), chip, 64) == "--remat dots"

    def needed(remat: str) -> float:
        execution = Execution(remat=remat)  # type: ignore[arg-type]
        return MARGIN * estimated_memory(run, execution, chip, 64).total

    assert needed("dots") <= chip.usable_bytes < needed("none")


def test_a_larger_slice_where_the_state_alone_is_too_much() -> None:
    small = Topology.parse("v5e:4x4")
    assert options_that_fit(LARGE, FULL, small.chip, small.n_chips) is None
    (advice,) = what_would_fit(LARGE, FULL, small)
    name, accumulate = advice.removeprefix("--topology ").split(" --accumulate ")
    larger = Topology.parse(name)
    execution = dataclasses.replace(FULL, accumulate=int(accumulate))
    device = estimated_memory(LARGE, execution, larger.chip, larger.n_chips)
    assert MARGIN * device.total <= larger.chip.usable_bytes
    assert what_would_fit(LARGE, FULL, Topology.parse("v5e:2x2")) == [advice]


def test_tensor_parallelism_where_one_sequence_is_still_too_much() -> None:
    wide = dataclasses.replace(LARGE.shape, d_model=8192, d_ff=32768, n_heads=64, n_kv_heads=None)
    run = dataclasses.replace(LARGE, shape=wide)
    advice = options_that_fit(run, FULL, CHIPS["v5e"], 256)
    assert advice is not None
    assert "--tensor 2" in advice


def test_copies_of_the_state_give_way_to_shares_of_it() -> None:
    copies = Execution(remat="full", mesh=MeshSpec(fsdp=1))
    advice = options_that_fit(LARGE, copies, CHIPS["v5p"], 64)
    assert advice == "without --data and --fsdp"


def test_small_models_keep_copies_and_large_ones_share() -> None:
    chip = CHIPS["v5e"]
    small, large = (estimated_memory(run, FULL, chip, 64) for run in (SMALL, LARGE))
    one = estimated_memory(SMALL, FULL, chip, 1)
    assert small.params == one.params
    assert large.params < 16 * GIB / 4


def test_chips_that_the_batch_does_not_divide_over_are_refused() -> None:
    with pytest.raises(InputError, match="batch_size 256 does not divide over 512 devices"):
        estimated_memory(LARGE, FULL, CHIPS["v5p"], 512)
