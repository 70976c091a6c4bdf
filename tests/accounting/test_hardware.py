import dataclasses

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.accounting import hardware
from scaling_jax.accounting.hardware import (
    CHIPS,
    GIB,
    chip,
    chip_of_kind,
    local_chip,
    local_peak_flops,
    mfu,
    training_seconds,
)
from scaling_jax.config import Precision
from scaling_jax.errors import InputError


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


def test_float32_is_slower_than_its_fast_form_on_accelerators() -> None:
    h100, v5e = chip("h100"), chip("v5e")
    assert h100.peak_flops("float32_fast") == pytest.approx(494e12)
    assert h100.peak_flops("float32") == pytest.approx(67e12)
    assert v5e.peak_flops("float32_fast") == v5e.peak_flops("bfloat16")
    # Six products of bfloat16 parts.
    assert v5e.peak_flops("float32") == pytest.approx(v5e.peak_flops("bfloat16") / 6)


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
        InputError, match=rf"hardware '{name}' is unknown: .*did you mean .*{nearest}"
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
    assert mfu(494e12, 1, chip("h100"), precision="float32_fast") == pytest.approx(1)


@given(
    st.sampled_from(sorted(CHIPS)),
    st.sampled_from(["float32", "bfloat16", "float32_fast"]),
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


def test_every_chip_has_what_bounds_and_fits_are_told_by() -> None:
    for known in CHIPS.values():
        assert known.platform == ("gpu" if known.name[0] in "abh" else "tpu")
        assert known.bandwidth is not None
        assert known.interconnect is not None
        # Both directions of all links carry less than the memory does.
        assert 1e11 < known.interconnect < known.bandwidth
        # The documentation rounds v5p's memory down.
        assert 0.7 * known.memory_bytes < known.usable_bytes < 1.01 * known.memory_bytes


@pytest.fixture
def quick_cpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    speeds = {"float32": 1e11, "bfloat16": 4e10}
    monkeypatch.setattr(hardware, "measured_cpu_flops", speeds.__getitem__)
    return speeds


def test_virtual_cpu_devices_are_one_machine(quick_cpu: dict[str, float]) -> None:
    assert len(jax.devices()) == 8
    assert local_peak_flops("float32") == quick_cpu["float32"]
    assert local_peak_flops("float32_fast") == quick_cpu["float32"]
    found = local_chip()
    assert found == chip("CPU")
    assert found is not None
    assert found.peak_flops("bfloat16") == quick_cpu["bfloat16"]
    assert found.memory_bytes > GIB / 4
    assert (found.platform, found.bandwidth, found.interconnect) == ("cpu", None, None)


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
