"""One step for every mesh: the losses of one device, and meshes that cannot be refused."""

from functools import cache
from itertools import product
from math import prod
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from scaling_jax.config import OptimizerConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.train import Execution, MeshSpec
from scaling_jax.train import mesh as layout
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import init_state, make_step

DIMS = dict(n_layers=2, d_model=16, n_heads=4, d_ff=32, vocab_size=64, seq_len=16)
VARIANTS = {
    "default": Shape(**DIMS),
    "grouped_swiglu": Shape(**DIMS | {"n_heads": 8}, n_kv_heads=4, activation="swiglu"),
    "learned_untied_normed": Shape(
        **DIMS, n_kv_heads=2, positions="learned", tied_embedding=False, qk_norm=True
    ),
    "experts": Shape(**DIMS, n_experts=4, experts_per_token=2, capacity=0.75),
    "recurrent": Shape(**DIMS, architecture="recurrent", passes=2),
    "lstm": Shape(**DIMS | {"n_heads": 1, "d_ff": 16}, architecture="lstm"),
}
BATCH, STEPS = 8, 24
HORIZON = Horizon(*map(np.float32, (1e-2, 5, 5, STEPS - 6, 0.1)))


def spec_of(variant, scan):
    execution = Execution(scan_layers=scan, loss_chunks=4 if scan else 1)
    return ModelSpec(VARIANTS[variant], OptimizerConfig(1e-2, 5), "float32", execution=execution)


@cache
def initial(variant):
    key = jax.random.key(0)
    start = jax.jit(lambda k: init_state(spec_of(variant, False), k)).lower(key)
    return jax.tree.map(np.asarray, start.compile()(key))


@cache
def losses_on(spec, variant, scan=False, n_devices=8):
    mesh = layout.mesh_for(VARIANTS[variant], BATCH, spec, jax.devices()[:n_devices])
    shardings = layout.state_shardings(initial(variant), mesh)
    state = jax.device_put(initial(variant), shardings)
    whole, by_sequence = layout.replicated(mesh), layout.batch_sharding(mesh)
    horizon = jax.device_put(HORIZON, whole)
    seq = DIMS["seq_len"] + 1
    tokens = np.random.default_rng(0).integers(0, DIMS["vocab_size"], (STEPS, BATCH, seq), np.int32)
    step, program, curve = make_step(spec_of(variant, scan)), None, []
    for i in range(STEPS):
        now = jax.device_put(tokens[i : i + 1], by_sequence)
        if program is None:
            with layout.layout_rules(mesh):
                whole_step = jax.jit(
                    lambda state, tokens, horizon: step(state, tokens[0], horizon),
                    out_shardings=(shardings, whole),
                )
                lowered = whole_step.lower(state, now, horizon)
            program = lowered.compile()
        state, metrics = program(state, now, horizon)
        curve.append(float(metrics.loss))
    return np.array(curve)


@pytest.mark.parametrize(
    ("variant", "mesh", "scan"),
    [
        ("default", MeshSpec(data=8), True),
        ("default", MeshSpec(fsdp=8), False),
        ("grouped_swiglu", MeshSpec(data=2, tensor=4), False),
        ("learned_untied_normed", MeshSpec(fsdp=4, tensor=2), True),
        ("learned_untied_normed", MeshSpec(data=2, fsdp=2, tensor=2), False),
        ("experts", MeshSpec(data=2, fsdp=2, tensor=2), True),
        ("recurrent", MeshSpec(data=2, fsdp=2, tensor=2), True),
        ("lstm", MeshSpec(data=2, fsdp=2, tensor=2), True),
        ("lstm", MeshSpec(data=8), False),
    ],
)
def test_every_mesh_gives_the_losses_of_one_device(variant, mesh, scan):
    # Rounding may change a choice of experts once it has grown, and with it the loss.
    compared = slice(8 if variant == "experts" else None)
    alone = losses_on(MeshSpec(), variant, n_devices=1)[compared]
    together = losses_on(mesh, variant, scan)[compared]
    # Sums are taken in another order, which is a float32 ulp or two (1e-7) at first; Adam
    # divides by the size of the gradient, so that 24 updates amplify it up to a hundredfold.
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-6)
    np.testing.assert_allclose(together, alone, rtol=2e-5)
    assert abs(alone[-1] - alone[0]) > 0.01


@pytest.mark.parametrize("sizes", [s for s in product((1, 2), repeat=3) if 1 < prod(s) < 8])
def test_axes_of_size_one_change_no_loss(sizes):
    data, fsdp, tensor = sizes
    mesh = MeshSpec(data=data, fsdp=fsdp, tensor=tensor)
    together = losses_on(mesh, "default", n_devices=prod(sizes))
    np.testing.assert_allclose(together, losses_on(MeshSpec(), "default", n_devices=1), rtol=2e-5)


def test_parameters_and_their_moments_are_split_over_fsdp_and_tensor():
    mesh, state = layout.make_mesh(MeshSpec(fsdp=4, tensor=2)), initial("default")
    shardings = jax.tree.leaves(layout.state_shardings(state, mesh))
    shares = [
        leaf.size / np.prod(sharding.shard_shape(leaf.shape))
        for leaf, sharding in zip(jax.tree.leaves(state), shardings, strict=True)
    ]
    # Five matrices, each with two moments; gains and counters are whole everywhere.
    assert shares.count(8) == 3 * 5
    assert set(shares) == {1, 8}


def test_experts_are_split_over_tensor_and_their_rows_over_fsdp():
    mesh = layout.make_mesh(MeshSpec(fsdp=4, tensor=2))
    blocks = layout.state_shardings(initial("experts"), mesh)["params"]["blocks"]["feed_forward"]
    split = {name: tuple(sharding.spec) for name, sharding in blocks.items()}
    assert split == {
        "router": (None, "fsdp", None),
        "expert_up": (None, "tensor", "fsdp", None, None),
        "expert_down": (None, "tensor", None, "fsdp"),
    }


def test_a_vocabulary_that_does_not_divide_is_kept_whole():
    shape = Shape(**DIMS | {"vocab_size": 63})
    mesh = layout.mesh_for(shape, BATCH, MeshSpec(tensor=2))
    table = {"embedding": jax.ShapeDtypeStruct((63, 16), np.float32)}
    assert layout.state_shardings(table, mesh)["embedding"].is_fully_replicated


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"fsdp": 3}, r"fsdp 3 does not divide 8 devices: choose one of \[1, 2, 4, 8\]"),
        ({"fsdp": 8, "tensor": 2}, r"fsdp 8 does not divide 4 devices left of 8: .* \[1, 2, 4\]"),
        ({"data": 2, "fsdp": 1, "tensor": 2}, r"uses 4 of 8 devices: .* 2 times as large"),
        ({"fsdp": 0}, "fsdp 0 must be at least 1"),
        ({"tensor": 8}, r"tensor 8 does not divide n_kv_heads 4: choose one of \[1, 2, 4\]"),
        ({"fsdp": 8}, r"fsdp 8 does not divide d_model 12: choose one of \[1, 2, 4\]"),
        ({"data": 8}, r"batch_size 12 does not divide over 8 devices .* 8 or 16, .* \[1, 2, 4\]"),
        ({"replica": 2}, r"replica 2 does not divide runs 1: choose one of \[1\]"),
    ],
)
def test_a_mesh_that_does_not_divide_is_refused_with_the_sizes_that_would(sizes, message):
    shape = Shape(**DIMS | {"n_heads": 4, "d_model": 12, "head_dim": 4})
    with pytest.raises(InputError, match=message):
        layout.mesh_for(shape, 12, MeshSpec(**sizes))


def test_a_microbatch_is_what_the_devices_share():
    shape = VARIANTS["default"]
    layout.mesh_for(shape, 16, MeshSpec(), accumulate=2)
    with pytest.raises(InputError, match=r"8 devices .* and 4 microbatches: use a multiple of 32"):
        layout.mesh_for(shape, 16, MeshSpec(), accumulate=4)


def test_an_axis_takes_the_devices_that_are_left():
    assert MeshSpec().over(8) == {"replica": 1, "data": 8, "fsdp": 1, "tensor": 1}
    assert MeshSpec(data=1, tensor=2).over(8)["fsdp"] == 4
    assert MeshSpec(fsdp=2, tensor=2).over(8)["data"] == 2


class Chip:
    """As much of a TPU's device as the default looks at."""

    platform, device_kind = "tpu", "TPU v5 lite"

    def __init__(self, slice_index=0):
        self.slice_index = slice_index


def test_a_model_is_split_only_where_its_state_would_crowd_the_device(monkeypatch):
    monkeypatch.setattr(layout, "_arranged", lambda sizes, devices: np.zeros([*sizes.values()]))
    monkeypatch.setattr(
        layout,
        "Mesh",
        lambda grid, axes, **_: SimpleNamespace(shape=dict(zip(axes, grid.shape, strict=True))),
    )
    small, large = Shape(12, 768, 12, 3072, 32_000, 1024), Shape(24, 2048, 16, 8192, 32_000, 1024)
    chips, two_slices = [Chip()] * 16, [Chip(i // 8) for i in range(16)]

    def split(shape, devices, **sizes):
        mesh = layout.mesh_for(shape, 16, MeshSpec(**sizes), devices)
        return mesh.shape["data"], mesh.shape["fsdp"]

    assert split(small, chips) == (16, 1)
    assert split(large, chips) == (1, 16)
    assert split(large, chips, tensor=2) == (1, 8)
    # Between slices the network is slow: each holds a copy.
    assert split(large, two_slices) == (2, 8)
    assert split(large, chips, fsdp=4) == (4, 4)
    assert split(large, jax.devices()) == (8, 1)
