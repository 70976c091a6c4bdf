"""Advice fits by the estimate, and less than the advice does not."""

import dataclasses

from scaling_jax.accounting.hardware import CHIPS
from scaling_jax.aot import Topology
from scaling_jax.aot.estimate import options_that_fit, what_would_fit
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import MARGIN, Chips, estimated_memory
from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.shapes import CHINCHILLA_SHAPES

LARGE = RunConfig(
    CHINCHILLA_SHAPES[-1], DataConfig(), OptimizerConfig(1e-4, 1), 256, 10, 1024, "bfloat16"
)
SMALL = dataclasses.replace(LARGE, shape=CHINCHILLA_SHAPES[0])
NONE = Execution(remat="none", accumulate=1)


def test_a_model_that_fits_needs_nothing() -> None:
    assert options_that_fit(SMALL, NONE, Chips(CHIPS["v5p"], 8)) == ""


def test_options_that_are_enough_are_named() -> None:
    chips, run = Chips(CHIPS["v5p"], 64), dataclasses.replace(LARGE, batch_size=384)
    assert options_that_fit(run, NONE, chips) == "--accumulate 2"

    def needed(accumulate: int) -> float:
        execution = Execution(accumulate=accumulate)
        return MARGIN * estimated_memory(run, execution, chips).total

    assert needed(2) <= chips.chip.usable_bytes < needed(1)


def test_a_larger_slice_where_the_state_alone_is_too_much() -> None:
    small = Topology.parse("v5e:4x4")
    assert options_that_fit(LARGE, NONE, Chips(small.chip, small.n_chips)) is None
    (advice,) = what_would_fit(LARGE, NONE, small)
    topology, _, options = advice.removeprefix("--topology ").partition(" ")
    assert Topology.parse(topology).n_chips > 16
    assert "--accumulate" in options
    assert what_would_fit(LARGE, NONE, Topology.parse("v5e:2x2")) == [advice]


def test_copies_of_the_state_give_way_to_shares_of_it() -> None:
    copies = dataclasses.replace(NONE, remat="full", mesh=MeshSpec(fsdp=1))
    advice = options_that_fit(LARGE, copies, Chips(CHIPS["v5p"], 64))
    assert advice is not None
    assert advice.endswith("without --data and --fsdp")


def test_less_memory_than_a_chip_has_needs_more_options() -> None:
    chips, run = Chips(CHIPS["v5p"], 64), dataclasses.replace(LARGE, batch_size=384)
    assert options_that_fit(run, NONE, chips, share=0.4) not in (None, "", "--accumulate 2")
