"""Options by which exchange overlaps computation: where they are set, and who decides."""

import jax
import jax.numpy as jnp
import pytest

from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.train import overlap
from scaling_jax.train.mesh import make_mesh, replicated
from scaling_jax.train.overlap import OPTIONS, compile_overlapped, overlap_options

SCHEDULER = "xla_gpu_enable_latency_hiding_scheduler"


def lowered_over(n_devices: int):
    mesh = make_mesh(MeshSpec(data=n_devices), jax.devices()[:n_devices])
    x_N = jax.ShapeDtypeStruct((8,), jnp.float32, sharding=replicated(mesh))
    return jax.jit(lambda x_N: 2 * x_N).lower(x_N), mesh


def test_gpus_and_tpus_overlap_exchange_and_computation() -> None:
    assert overlap_options("gpu", 8, {}) == {SCHEDULER: True}
    assert overlap_options("tpu", 4, {}) == OPTIONS["tpu"]
    assert overlap_options("cpu", 8, {}) == overlap_options("gpu", 1, {}) == {}


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_what_the_user_sets_stays(platform: str) -> None:
    for variable in ("XLA_FLAGS", "LIBTPU_INIT_ARGS"):
        for name in OPTIONS[platform]:
            found = overlap_options(platform, 8, {variable: f"--other=1 --{name}=false"})
            assert found == {k: v for k, v in OPTIONS[platform].items() if k != name}
        # A longer name is another option.
        longer = {variable: f"--{SCHEDULER}_more=false"}
        assert overlap_options(platform, 8, longer) == OPTIONS[platform]


def test_the_options_of_gpus_are_known_to_this_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    # Options of GPUs are known to every build of XLA, and have no effect on a CPU.
    monkeypatch.setitem(OPTIONS, "cpu", OPTIONS["gpu"])
    compiled = compile_overlapped(*lowered_over(2))
    assert compiled(jnp.ones(8)).sum() == 16


def test_an_option_that_xla_lacks_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPTIONS, "cpu", {"xla_no_such_option": True})
    with pytest.warns(UserWarning, match="xla_no_such_option"):
        compiled = compile_overlapped(*lowered_over(2))
    assert compiled(jnp.ones(8)).sum() == 16
    # A single device exchanges nothing, so the option is not set.
    assert overlap.overlap_options("cpu", 1) == {}
