import dataclasses

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax import hardware
from scaling_jax.config import Precision, Shape
from scaling_jax.errors import InputError
from scaling_jax.flops import count_params
from scaling_jax.hardware import (
    CHIPS,
    GIB,
    Memory,
    chip,
    chip_of_kind,
    local_chip,
    local_peak_flops,
    mfu,
    training_memory,
    training_seconds,
)

SMALL = Shape(n_layers=3, d_model=8, n_heads=2, d_ff=20, vocab_size=11, seq_len=5)


@dataclasses.dataclass
class Device:
    platform: str
    device_kind: str


@pytest.mark.parametrize(
    ("name", "tflops", "gib", "gb_per_second"),
    [
        ("v4", 275, 32, 1228),
        ("v5e", 197, 16, 819),
        ("v5p", 459, 95, 2765),
        ("v6e", 918, 32, 1638),
        ("a100", 312, 80, 2039),
        ("h100", 989, 80, 3350),
        ("H200 ", 989, 141, 4800),
        ("Trillium", 918, 32, 1638),
        ("ironwood", 2307, 192, 7380),
    ],
)
def test_chips_have_their_published_figures(
    name: str, tflops: float, gib: int, gb_per_second: float
) -> None:
    found = chip(name)
    assert found.peak_flops("bfloat16") == pytest.approx(tflops * 1e12)
    assert found.memory_bytes == gib * GIB
    assert found.bandwidth == pytest.approx(gb_per_second * 1e9)


def test_single_precision_is_slower_on_a_gpu_and_as_fast_on_a_tpu() -> None:
    assert chip("h100").peak_flops("float32") == pytest.approx(494e12)
    assert chip("v5e").peak_flops("float32") == chip("v5e").peak_flops("bfloat16")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TPU v4", "v4"),
        ("TPU v5 lite", "v5e"),
        ("TPU v5e", "v5e"),
        ("TPU v5", "v5p"),
        ("TPU v5p", "v5p"),
        ("TPU v6 lite", "v6e"),
        ("TPU7x", "tpu7x"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA B200", "b200"),
    ],
)
def test_a_chip_is_known_by_what_jax_calls_it(kind: str, name: str) -> None:
    assert chip_of_kind(kind) == CHIPS[name]
    assert chip_of_kind(kind.upper()) == CHIPS[name]


@pytest.mark.parametrize("kind", ["", "cpu", "TPU v2", "NVIDIA T4", "H100"])
def test_a_kind_that_is_not_in_the_table_is_not_guessed(kind: str) -> None:
    assert chip_of_kind(kind) is None


@pytest.mark.parametrize(
    ("name", "nearest"), [("h10", "h100"), ("v5x", "v5"), ("v6", "v6e"), ("irnwood", "ironwood")]
)
def test_an_unknown_chip_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(
        InputError, match=rf"hardware '{name}' is unknown .*did you mean .*{nearest}"
    ):
        chip(name)


def test_a_name_like_no_other_is_refused_with_all() -> None:
    with pytest.raises(InputError) as caught:
        chip("qqq")
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in [*CHIPS, "cpu"])


def test_utilization_counted_by_hand() -> None:
    # 4 chips at 197 TFLOP/s could have done 7,880 TFLOPs in ten seconds.
    assert mfu(3940e12, 10, chip("v5e"), n_chips=4) == pytest.approx(0.5)
    assert mfu(494e12, 1, chip("h100"), precision="float32") == pytest.approx(1)


@given(
    st.sampled_from(sorted(CHIPS)),
    st.sampled_from(["float32", "bfloat16"]),
    st.floats(1e9, 1e27),
    st.integers(1, 10_000),
    st.floats(0.01, 1),
)
def test_a_run_that_takes_the_estimated_time_has_the_assumed_utilization(
    name: str, precision: Precision, flops: float, n_chips: int, utilization: float
) -> None:
    seconds = training_seconds(
        flops, CHIPS[name], precision=precision, n_chips=n_chips, utilization=utilization
    )
    reached = mfu(flops, seconds, CHIPS[name], precision=precision, n_chips=n_chips)
    assert reached == pytest.approx(utilization)


def test_chinchilla_would_take_a_fortnight_on_a_pod() -> None:
    # 5.76e23 FLOPs at 40 % of 4,096 v4 chips' 1.1264 EFLOP/s.
    seconds = training_seconds(5.76e23, chip("v4"), n_chips=4096)
    assert seconds / 86_400 == pytest.approx(14.8, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"utilization": 0.0}, "utilization 0.0"),
        ({"utilization": 1.01}, "utilization 1.01"),
        ({"utilization": float("nan")}, "utilization nan"),
        ({"n_chips": 0}, "0 chips"),
    ],
)
def test_impossible_estimates_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        training_seconds(1e20, chip("v5e"), **changes)


def test_memory_of_a_small_shape_counted_by_hand() -> None:
    params = 1872  # tests/test_flops.py counts them
    # Per token and layer: queries, keys, values and both residual outputs, 2 (8 + 8 + 8), and
    # the feed-forward's 20, in 2 bytes; two heads' 5 scores in 4 bytes and again in 2. Logits
    # and their gradient, 2 x 11, in 4 bytes.
    per_token = 3 * (2 * (2 * 24 + 20) + (4 + 2) * 2 * 5) + 4 * 2 * 11
    assert training_memory(SMALL, 7) == Memory(
        params=4 * params,
        moments=2 * 4 * params,
        gradients=4 * params,
        activations=7 * 5 * per_token,
    )
    assert training_memory(SMALL, 7).total == 16 * params + 35 * per_token


def test_single_precision_doubles_the_products() -> None:
    # Per token: 68 numbers of a layer grow by 2 bytes, and so does a weight of its 10.
    more = training_memory(SMALL, 1, precision="float32").activations - (
        training_memory(SMALL, 1).activations
    )
    assert more == 5 * 3 * 2 * (68 + 10)


def test_shards_split_the_state_and_nothing_else() -> None:
    whole, quarter = training_memory(SMALL, 2), training_memory(SMALL, 2, n_shards=4)
    assert quarter.params == whole.params // 4
    assert quarter.moments == whole.moments // 4
    assert quarter.activations == whole.activations
    # What does not divide is rounded up.
    assert training_memory(SMALL, 2, n_shards=5).params == 4 * -(-count_params(SMALL).total // 5)


SIZES = ["n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len"]


@given(
    st.sampled_from(SIZES),
    st.tuples(*[st.integers(1, 6)] * len(SIZES)),
    st.integers(1, 64),
    st.sampled_from(["gelu", "swiglu"]),
)
def test_memory_grows_with_every_size(
    name: str, multiples: tuple[int, ...], sequences: int, activation: str
) -> None:
    sizes = {size: 4 * multiple for size, multiple in zip(SIZES, multiples, strict=True)}
    shape = Shape(**sizes, head_dim=4, activation=activation)  # type: ignore[arg-type]
    larger = dataclasses.replace(shape, n_kv_heads=None, **{name: 2 * sizes[name]})
    for precision in ("float32", "bfloat16"):
        one, other = (
            training_memory(s, sequences, precision=precision)  # type: ignore[arg-type]
            for s in (shape, larger)
        )
        assert other.total > one.total
        assert training_memory(shape, sequences + 1).activations > (
            training_memory(shape, sequences).activations
        )


def test_activations_are_within_a_factor_of_two_of_the_compilers_plan() -> None:
    import jax.numpy as jnp
    from flax import nnx

    from scaling_jax.model import Transformer, token_losses

    shape = Shape(n_layers=4, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=64)
    sequences = 16
    graph, params = nnx.split(nnx.eval_shape(lambda: Transformer(shape, rngs=nnx.Rngs(0))))
    tokens = jax.ShapeDtypeStruct((sequences, shape.seq_len), jnp.int32)

    def loss(params, tokens):
        return token_losses(nnx.merge(graph, params)(tokens), tokens).mean()

    program = jax.jit(jax.value_and_grad(loss)).lower(params, tokens).compile()
    planned = program.memory_analysis().temp_size_in_bytes
    estimated = training_memory(shape, sequences, precision="float32").activations
    assert 0.5 < planned / estimated < 2


@pytest.fixture
def quick_cpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    speeds = {"float32": 1e11, "bfloat16": 4e10}
    monkeypatch.setattr(hardware, "measured_cpu_flops", speeds.__getitem__)
    return speeds


def test_virtual_cpu_devices_are_one_machine(quick_cpu: dict[str, float]) -> None:
    assert len(jax.devices()) == 8
    assert local_peak_flops("float32") == quick_cpu["float32"]
    found = local_chip()
    assert found == chip("CPU")
    assert found is not None
    assert found.peak_flops("bfloat16") == quick_cpu["bfloat16"]
    assert found.memory_bytes > GIB / 4
    assert found.bandwidth is None


def test_a_measured_cpu_is_a_plausible_one() -> None:
    assert 1e8 < hardware.measured_cpu_flops("float32") < 1e14


@pytest.mark.parametrize(
    ("kind", "n_devices", "expected"),
    [("TPU v5 lite", 8, 8 * 197e12), ("TPU7x", 8, 4 * 2307e12), ("NVIDIA H100", 1, 989e12)],
)
def test_all_local_devices_count(
    kind: str, n_devices: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "devices", lambda: [Device("tpu", kind)] * n_devices)
    assert local_peak_flops("bfloat16") == pytest.approx(expected)
    assert local_chip() == chip_of_kind(kind)


def test_an_unknown_accelerator_has_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "devices", lambda: [Device("gpu", "Another GPU")])
    assert local_peak_flops("bfloat16") is None
    assert local_chip() is None
