"""What follows from the numbers of a compiled step."""

import dataclasses

import pytest

from scaling_jax.accounting.flops import training_flops
from scaling_jax.aot.report import ChipMemory, Report, StepFlops, lower_bounds
from scaling_jax.aot.topology import Topology
from scaling_jax.config import Shape

# Attention scores are most of the work.
SHAPE = Shape(n_layers=2, d_model=64, n_heads=1, d_ff=64, vocab_size=256, seq_len=8192)
TOPOLOGY = Topology.parse("v5e:2x2")


def counts_of(shape: Shape, n_products: int) -> StepFlops:
    """Counts of a step on one sequence whose kernels compute `n_products` squares of scores."""
    exact = training_flops(shape, shape.seq_len)
    square = 2 * shape.n_layers * shape.seq_len**2 * shape.d_attn
    kernels = n_products * square
    plain = exact - 6 * square
    return StepFlops(
        exact=exact,
        causal=training_flops(shape, shape.seq_len, causal=True),
        program=plain + (kernels or 6 * square),
        kernels=kernels,
        once=plain,
        xla=None,
    )


def report_of(counts: StepFlops) -> Report:
    memory = ChipMemory(1, 10**9, arguments=1)
    return Report(
        topology=TOPOLOGY.name,
        n_chips=TOPOLOGY.n_chips,
        run_id="0" * 16,
        params=1,
        batch_size=1,
        tokens_per_step=1,
        precision="bfloat16",
        mesh={},
        execution={},
        compile_seconds=1.0,
        memory=memory,
        flops=counts,
        bounds=lower_bounds(TOPOLOGY, "bfloat16", counts, memory, 0, []),
    )


# Flash attention computes two squares of scores forward, and five or more backward.
@pytest.mark.parametrize("n_products", [7, 9])
def test_kernels_that_skip_half_of_the_scores_are_not_used_above_their_peak(n_products):
    counts = counts_of(SHAPE, n_products)
    assert counts.exact > counts.least
    assert 0.6 < report_of(counts).largest_mfu <= 1


def test_a_step_without_kernels_and_recomputation_can_reach_the_peak():
    counts = counts_of(SHAPE, 0)
    assert report_of(counts).largest_mfu == pytest.approx(1)
    twice = dataclasses.replace(counts, program=2 * counts.program)
    assert report_of(twice).largest_mfu == pytest.approx(0.5)
