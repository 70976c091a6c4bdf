"""What a program needs, from the compiler's plan of its memory."""

from types import SimpleNamespace

from scaling_jax.aot.compiler import planned
from scaling_jax.aot.topology import Topology

# One output of 6 bytes could not be put where an argument was.
PLAN = dict(
    argument_size_in_bytes=1000,
    output_size_in_bytes=906,
    alias_size_in_bytes=900,
    temp_size_in_bytes=500,
    generated_code_size_in_bytes=30,
)


def needed(topology: str, peak: int) -> tuple[int, int, int, int]:
    plan = SimpleNamespace(**PLAN, peak_memory_in_bytes=peak)
    memory = planned(plan, Topology.parse(topology))
    return memory.needed, memory.arguments, memory.temporaries, memory.code


def test_temporaries_and_what_has_no_place_count_beside_the_arguments() -> None:
    assert needed("v5e:2x2", 0) == (1536, 1000, 506, 30)


def test_no_more_temporaries_than_at_the_peak() -> None:
    assert needed("v5e:2x2", 1200) == (1230, 1000, 200, 30)
    # A peak that counts other memory too is no reason for more.
    assert needed("v5e:2x2", 9000) == (1536, 1000, 506, 30)
    assert needed("v5e:2x2", 900) == (1030, 1000, 0, 30)


def test_a_chip_has_the_memory_of_its_devices() -> None:
    assert needed("tpu7x:2x2x1", 1200) == (2460, 2000, 400, 60)
