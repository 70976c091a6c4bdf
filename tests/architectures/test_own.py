"""A user's own module: its counts, its training in another process, and what is refused."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.accounting.flops import CONVENTIONS, count_params, forward_ops, training_flops
from scaling_jax.accounting.memory import Spread, training_memory
from scaling_jax.architectures import own
from scaling_jax.architectures.own import own_module
from scaling_jax.architectures.products import product_flops
from scaling_jax.config import OptimizerConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.mesh_spec import MeshSpec, check_fit
from scaling_jax.train import mesh as layout
from scaling_jax.train import train_run
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.step import init_state, make_gradient
from scaling_jax.trained import load_run

FILE = Path(__file__).with_name("min_gru.py")
DIMS = dict(n_layers=2, d_model=8, n_heads=2, d_ff=32, vocab_size=64, seq_len=8)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A copy of the experiment, which a test may change."""
    return shutil.copy(FILE, tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="module")
def study(file):
    return sj.load_experiment(file)


@pytest.fixture(scope="module")
def store(study, tmp_path_factory):
    return sj.run(study, tmp_path_factory.mktemp("store"), workers=1, progress=False)


@pytest.fixture
def another_process(monkeypatch):
    """What a process that has loaded no experiment has: nothing."""
    monkeypatch.setattr(own, "_LOADED", {})


def test_parameters_and_flops_counted_by_hand(study):
    shape = study.recipe.family.architecture.shape(**DIMS)
    d, v = 8, 64
    counts, matrices = count_params(shape), 2 * 3 * d * d
    assert counts.total == v * d + matrices + 2 * d + d
    assert counts.non_embedding == matrices + 3 * d
    per_token = {name: forward_ops(shape, name).total // 8 for name in CONVENTIONS}
    exact = 2 * (matrices + v * d)
    assert per_token["exact"] == exact
    assert per_token["chinchilla"] == exact + 2 * v * d
    assert per_token["kaplan"] == 2 * counts.non_embedding
    assert per_token["6nd"] == 2 * counts.total
    assert shape.module.counted_by == "program"


def gradient_of(shape):
    spec = ModelSpec(
        shape, OptimizerConfig(1e-3, 0), "float32", execution=Execution(scan_layers=True)
    )
    params = jax.eval_shape(lambda key: init_state(spec, key)["params"], jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((4, shape.seq_len + 1), jnp.int32)
    return jax.jit(make_gradient(spec)).trace(params, tokens)


def test_flops_are_those_of_the_training_program(study):
    shape = study.recipe.family.architecture.shape(**DIMS | {"d_model": 64})
    program, tokens = gradient_of(shape), 4 * shape.seq_len
    assert product_flops(program.jaxpr.jaxpr).total == training_flops(shape, tokens)
    compiled = program.lower().compile()
    # XLA also counts element-wise work.
    assert 1 < compiled.cost_analysis()["flops"] / training_flops(shape, tokens) < 1.25
    estimated = training_memory(shape, Spread(4), precision="float32").activations
    # Training does not keep everything that the forward pass computes.
    assert 0.15 < compiled.memory_analysis().temp_size_in_bytes / estimated < 1.5


def test_the_family_finds_the_nearest_size(study):
    family = study.recipe.family
    by_size = {count_params(family._shape(d, n)).total: d for d in range(8, 40, 4) for n in (1,)}
    for wanted in (3e3, 5e3, 8e3):
        nearest = min(by_size, key=lambda size: abs(np.log(size / wanted)))
        assert count_params(family.nearest(wanted)).total == nearest


def test_a_study_is_trained_collected_fitted_and_loaded(store, another_process):
    table = sj.collect(store)
    assert list(table["architecture"].unique()) == ["MinGRU"]
    assert list(table["flops_counted_by"].unique()) == ["program"]
    assert table["loss"].notna().all()
    fitted = laws.fit(table, law="chinchilla", bootstrap=0)
    assert fitted.params["E"] > 0
    run = store.runs()[0]
    loaded = load_run(run.directory)
    assert loaded.loss() == run.result.loss
    assert loaded.generate("a", 3, temperature=0.0).startswith("a")
    with pytest.raises(InputError, match="no layout of transformers has the architecture 'MinGRU'"):
        loaded.export(run.directory / "exported")


def test_a_stopped_run_goes_on_in_another_process(store, another_process, tmp_path):
    run = store.runs()[0]
    directory = tmp_path / run.run_id
    shutil.copytree(run.directory, directory)
    (directory / "result.json").unlink()
    result = train_run(run.planned.config, directory, progress=False)
    assert result.loss == run.result.loss


def test_a_changed_source_is_named_before_anything_is_computed(
    store, study, file, another_process, tmp_path
):
    text = Path(file).read_text()
    try:
        # A value that the class only uses through another class and a function is its source, too.
        Path(file).write_text(text.replace("a[1] * b[0] + b[1]", "b[1] + a[1] * b[0]"))
        with pytest.raises(InputError, match=r"MinGRU in .*min_gru.py has changed.* restore"):
            load_run(store.runs()[0].directory)
        changed = sj.load_experiment(file)
        with pytest.raises(InputError, match="source"):
            sj.run(changed, store.directory.parent, progress=False)
        # A change of something else is none of the module's.
        Path(file).write_text(text.replace("(1, 2, 4)", "(1, 2)"))
        assert {run.config.run_id for run in sj.load_experiment(file).plan()} < {
            run.config.run_id for run in study.plan()
        }
    finally:
        Path(file).write_text(text)


@pytest.mark.parametrize("spec", [MeshSpec(data=4), MeshSpec(data=2, fsdp=2)])
def test_every_mesh_gives_the_gradient_of_one_device(study, spec):
    shape = study.recipe.family.architecture.shape(**DIMS)
    execution = Execution(scan_layers=True)
    model = ModelSpec(shape, OptimizerConfig(1e-3, 0), "float32", execution=execution)
    state = jax.tree.map(np.asarray, jax.jit(partial(init_state, model))(jax.random.key(0)))
    tokens = np.random.default_rng(0).integers(0, 64, (8, 9), np.int32)

    def on(spec, n):
        mesh = layout.mesh_for(shape, 8, spec, jax.devices()[:n])
        params = state["params"]
        placed = jax.device_put(params, layout.state_shardings(params, mesh, named=False))
        if n > 1 and spec.fsdp == 2:
            assert all(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(placed))
        by_sequence = jax.device_put(tokens[None], layout.batch_sharding(mesh))[0]
        with layout.layout_rules(mesh):
            return jax.jit(make_gradient(model))(placed, by_sequence)

    together, alone = on(spec, 4), on(MeshSpec(), 1)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7), together, alone)


class Base(nnx.Module):
    def __init__(self, shape, *, rngs):
        self.embedding = nnx.Embed(shape.vocab_size, shape.d_model, rngs=rngs)

    def __call__(self, tokens_BxT):
        return self.embedding.attend(self.embedding(tokens_BxT))


class OfTheFuture(Base):
    def __call__(self, tokens_BxT):
        x_BxTxD = self.embedding(tokens_BxT)
        return self.embedding.attend(x_BxTxD + jnp.roll(x_BxTxD, -1, axis=1))


class WithDropout(Base):
    def __init__(self, shape, *, rngs):
        super().__init__(shape, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)


class OtherName(nnx.Module):
    def __init__(self, shape, *, rngs):
        self.table = nnx.Embed(shape.vocab_size, shape.d_model, rngs=rngs)


class Features(Base):
    def __call__(self, tokens_BxT):
        return self.embedding(tokens_BxT)


class Fails(Base):
    def __call__(self, tokens_BxT):
        return self.embeding(tokens_BxT)


@pytest.mark.parametrize(
    ("defined", "message"),
    [
        (OfTheFuture, "OfTheFuture is not causal"),
        (WithDropout, r"WithDropout has \d arrays beside its nnx.Param"),
        (OtherName, "OtherName has no attribute 'embedding'"),
        (Features, r"dimensions \(1, 8, 8\).* must give logits of dimensions \(1, 8, 64\)"),
        (Fails, "Fails cannot be traced .*embeding"),
        (dict, "give a class that is a flax.nnx.Module"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused(defined, message):
    with pytest.raises(InputError, match=message):
        own_module(defined).shape(**DIMS)


class WithFormula(Base):
    def __init__(self, shape, *, rngs):
        super().__init__(shape, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, tokens_BxT):
        return super().__call__(tokens_BxT) * self.scale[...]

    @staticmethod
    def forward_flops(shape):
        return 7 * shape.seq_len


def test_a_formula_is_used_and_named():
    shape = own_module(WithFormula).shape(**DIMS)
    assert (shape.module.forward_flops, shape.module.counted_by) == (7 * 8, "formula")


def test_what_the_module_cannot_do_is_refused_by_name(study):
    run = study.plan()[0].config
    for execution, message in (
        (Execution(remat="full"), "remat full has no effect in the own module MinGRU"),
        (Execution(attention="blocks"), "'blocks' has no effect in the architecture 'MinGRU'"),
        (Execution(scan_layers=False), "scan_layers False has no effect"),
    ):
        with pytest.raises(InputError, match=message):
            execution.resolved(run, "cpu")
    with pytest.raises(InputError, match="MinGRU cannot compute in bfloat16"):
        Execution().resolved(dataclasses.replace(run, precision="bfloat16"), "cpu")
    with pytest.raises(InputError, match=r"optimizer 'muon' .*MinGRU does not name"):
        dataclasses.replace(run, optimizer=dataclasses.replace(run.optimizer, name="muon"))
    with pytest.raises(InputError, match=r"tensor 2 does not divide the parts of your own module"):
        check_fit({"replica": 1, "data": 1, "fsdp": 1, "tensor": 2}, run.shape, 8)
