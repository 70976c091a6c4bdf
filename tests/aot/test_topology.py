import pytest

from scaling_jax.aot import Topology
from scaling_jax.errors import InputError


@pytest.mark.parametrize(
    ("text", "chip", "n_chips", "platform"),
    [
        ("v5e:4x4", "v5e", 16, "tpu"),
        (" V5P:4x4x8 ", "v5p", 128, "tpu"),
        ("v4:2x2x1", "v4", 4, "tpu"),
        ("tpu7x:2x2x2", "tpu7x", 8, "tpu"),
        ("h100:8", "h100", 8, "gpu"),
        # Cloud TPU numbers v4 and v5p by cores, two on a chip, and the others by chips.
        ("v5litepod-16", "v5e", 16, "tpu"),
        ("v6e-64", "v6e", 64, "tpu"),
        ("v5p-256", "v5p", 128, "tpu"),
        ("v4-8", "v4", 4, "tpu"),
    ],
)
def test_topologies_by_name(text: str, chip: str, n_chips: int, platform: str) -> None:
    topology = Topology.parse(text)
    assert (topology.chip.name, topology.n_chips, topology.platform) == (chip, n_chips, platform)
    assert Topology.parse(topology.name) == topology


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v5e:3x3", r"'v5e:3x3' does not exist: v5e has .*v5e:4x4.*v5e:16x16"),
        ("v5p:4x4", r"v5p has .*v5p:4x4x4"),
        ("h100:16", r"h100 has h100:1, h100:2, h100:4, h100:8"),
        ("v5litepod-15", r"there are v4:\{2x2x1.*v5e:\{1x1.*h100.*; did you mean 'v5litepod-1'\?"),
        ("v9:4x4", r"there are v4:\{2x2x1"),
        ("", r"there are v4:\{2x2x1"),
    ],
)
def test_unknown_topologies_are_refused_with_those_that_exist(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Topology.parse(text)


def test_larger_topologies_ascend_from_the_next() -> None:
    larger = [topology.n_chips for topology in Topology.parse("v5e:4x4").larger()]
    assert larger == [32, 64, 128, 256]
    assert list(Topology.parse("v5e:16x16").larger()) == []


def test_numbers_of_chips_are_topologies() -> None:
    assert Topology.of("v5e", 16) == Topology.parse("v5e:4x4")
    assert Topology.of("V5P", 64) == Topology.parse("v5p:4x4x4")
    assert Topology.of("h100", 8) == Topology.parse("h100:8")
    for hardware, n, message in (
        ("v5e", 12, "12 chips of v5e form no topology: choose one of 1, 4, 8, 16"),
        ("b200", 8, "nothing can be compiled for 'b200' here: there is v4, v5e"),
        ("v5x", 8, "hardware 'v5x' is unknown"),
    ):
        with pytest.raises(InputError, match=message):
            Topology.of(hardware, n)
