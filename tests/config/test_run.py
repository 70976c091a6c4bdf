import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.config import (
    DataConfig,
    EvalSet,
    LogSpaced,
    NoiseScale,
    OptimizerConfig,
    RunConfig,
    Shape,
    from_dict,
)
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.errors import InputError

SHAPE = Shape(n_layers=2, d_model=32, n_heads=4, d_ff=128, vocab_size=256, seq_len=64)
OPTIMIZER = OptimizerConfig(peak_lr=1e-3, warmup_steps=10)
CODE = EvalSet("code", "stdlib")
CONFIG = RunConfig(SHAPE, DataConfig(), OPTIMIZER, batch_size=8, steps=100, eval_tokens=4096)

# One other valid value for every field of a run.
OTHER = {
    "shape.n_layers": 3,
    "shape.d_model": 64,
    "shape.n_heads": 8,
    "shape.d_ff": 96,
    "shape.vocab_size": 300,
    "shape.seq_len": 32,
    "shape.head_dim": 16,
    "shape.n_kv_heads": 2,
    "shape.positions": "learned",
    "shape.activation": "swiglu",
    "shape.tied_embedding": False,
    "shape.qk_norm": True,
    "data.corpus": "stdlib",
    "data.tokenizer": "hf:file",
    "data.repeat": True,
    "optimizer.peak_lr": 2e-3,
    "optimizer.warmup_steps": 11,
    "optimizer.name": "muon",
    "optimizer.schedule": "linear",
    "optimizer.final_lr_fraction": 0.0,
    "optimizer.cycle": 1.5,
    "optimizer.cooldown_share": 0.1,
    "optimizer.beta1": 0.8,
    "optimizer.beta2": 0.99,
    "optimizer.eps": 1e-9,
    "optimizer.weight_decay": 0.0,
    "optimizer.clip_norm": 0.5,
    "batch_size": 9,
    "steps": 101,
    "eval_tokens": 4097,
    "precision": "bfloat16",
    "parameterization.base_d_model": 16,
    "parameterization.base_head_dim": 4,
    "parameterization.base_n_layers": 1,
    "seed": 1,
    "shape.n_experts": 4,
    "shape.experts_per_token": 2,
    "shape.capacity": 1.25,
    "optimizer.balance_weight": 0.1,
    "data.unique_tokens": 100_000,
    "eval_every": 1000,
    "curve_tokens": 1024,
    "evals": [{"name": "code", "corpus": "stdlib", "part": "all"}],
    "dropout": {"residual": 0.1, "attention": 0.0, "embedding": 0.0},
    "batch_ramp": {"factor": 2, "until": 0.5},
    "optimizer.weight_decay_tables": 0.0,
    "optimizer.weight_decay_gains": 0.1,
    "optimizer.average_share": 0.1,
    "parameterization.init_scale": 0.5,
    "eval_at_most": True,
}

# Fields that a run is stored without where they are at their defaults.
LATER = {
    "shape.n_experts",
    "shape.experts_per_token",
    "shape.capacity",
    "optimizer.balance_weight",
    "data.unique_tokens",
    "eval_every",
    "curve_tokens",
    "evals",
    "dropout",
    "batch_ramp",
    "optimizer.weight_decay_tables",
    "optimizer.weight_decay_gains",
    "optimizer.average_share",
    "parameterization.init_scale",
    "eval_at_most",
}
MIXED = dataclasses.replace(SHAPE, n_experts=8)

MUP = Parameterization("mup", base_d_model=32, base_head_dim=8)
COMPLETEP = Parameterization("completep", base_d_model=32, base_head_dim=8, base_n_layers=2)


def base_of(path: str) -> RunConfig:
    """A run that has a use for the field at `path`."""
    if path == "optimizer.cooldown_share":
        wsd = OptimizerConfig(peak_lr=1e-3, warmup_steps=10, schedule="wsd")
        return dataclasses.replace(CONFIG, optimizer=wsd)
    if path == "curve_tokens":
        return dataclasses.replace(CONFIG, eval_every=LogSpaced())
    if path in LATER - {"shape.n_experts"}:
        return dataclasses.replace(CONFIG, shape=MIXED)
    if path.startswith("parameterization."):
        return dataclasses.replace(CONFIG, parameterization=COMPLETEP)
    return CONFIG


def as_dict() -> dict[str, Any]:
    return json.loads(CONFIG.to_json())


def changed(path: str, value: Any, config: RunConfig = CONFIG) -> dict[str, Any]:
    data = json.loads(config.to_json())
    *parents, name = path.split(".")
    target = data
    for parent in parents:
        target = target[parent]
    target[name] = value
    return data


def read(data: Any) -> RunConfig:
    return RunConfig.from_json(json.dumps(data))


def paths(data: dict[str, Any], prefix: str = "") -> list[str]:
    return [
        path
        for key, value in data.items()
        for path in (paths(value, f"{key}.") if isinstance(value, dict) else [key])
        for path in [prefix + path]
    ]


def test_every_field_is_in_this_files_table() -> None:
    assert {*OTHER, "parameterization.rule", "version"} == {*paths(as_dict()), *LATER}


@pytest.mark.parametrize("path", OTHER)
def test_any_changed_field_is_another_run_that_reads_back(path: str) -> None:
    base = base_of(path)
    other = read(changed(path, OTHER[path], base))
    assert other != base
    assert other.run_id != base.run_id
    assert RunConfig.from_json(other.to_json()) == other


def test_each_parameterization_is_another_run_that_reads_back() -> None:
    runs = [dataclasses.replace(CONFIG, parameterization=p) for p in (STANDARD, MUP, COMPLETEP)]
    assert len({run.run_id for run in runs}) == 3
    assert [RunConfig.from_json(run.to_json()) for run in runs] == runs


@given(st.floats(1e-9, 1e9), st.integers(0, 99), st.text(max_size=5), st.integers(0, 2**32 - 1))
def test_canonical_json_reads_back_exactly(
    peak_lr: float, warmup_steps: int, corpus: str, seed: int
) -> None:
    config = dataclasses.replace(
        CONFIG,
        data=DataConfig(corpus=corpus),
        optimizer=OptimizerConfig(peak_lr, warmup_steps),
        seed=seed,
    )
    read_back = RunConfig.from_json(config.to_json())
    assert read_back == config
    assert read_back.to_json() == config.to_json()


@given(st.randoms())
def test_the_order_of_keys_and_spaces_does_not_matter(random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(item) for key, item in items}

    text = json.dumps(shuffled(as_dict()), indent=2)
    assert RunConfig.from_json(text).run_id == CONFIG.run_id


def test_a_run_keeps_its_name_across_versions_of_this_package() -> None:
    # Runs are stored under this name: whatever changes it orphans every finished run.
    assert CONFIG.run_id == "4d7fe9558b0b3fa9"
    assert dataclasses.replace(CONFIG, shape=MIXED).run_id == "a56a1af50051c056"


def test_a_stored_curve_keeps_the_meaning_that_it_was_stored_with() -> None:
    # Curves were stored without a share, and had 8,192 tokens at each point.
    stored = read(changed("eval_every", {"points": 20, "start": 0.01}))
    assert stored.eval_every == LogSpaced(share=None)
    assert stored.run_id == dataclasses.replace(CONFIG, eval_every=LogSpaced(share=None)).run_id
    written = dataclasses.replace(CONFIG, eval_every=LogSpaced())
    assert written.run_id != stored.run_id
    assert read(json.loads(written.to_json())) == written
    # A number of tokens replaces the share that a curve has by default.
    sized = [
        dataclasses.replace(CONFIG, eval_every=e, curve_tokens=64)
        for e in (LogSpaced(), LogSpaced(share=None))
    ]
    assert sized[0] == sized[1]
    noise = [NoiseScale(every) for every in (LogSpaced(10), LogSpaced(10, share=None))]
    assert noise[0] == noise[1] == NoiseScale()


def test_defaults_written_out_are_the_same_run() -> None:
    data = as_dict()
    for part, names in {
        "shape": ["head_dim", "n_kv_heads", "positions", "qk_norm"],
        "data": ["corpus", "repeat"],
        "optimizer": ["beta1", "eps"],
    }.items():
        for name in names:
            del data[part][name]
    del data["seed"], data["version"]
    assert read(data).run_id == CONFIG.run_id
    for path, default in {
        "shape.n_experts": 1,
        "shape.experts_per_token": 1,
        "shape.capacity": 2.0,
        "optimizer.balance_weight": 0.01,
        "data.unique_tokens": None,
        "eval_every": None,
        "curve_tokens": None,
        "evals": [],
    }.items():
        assert read(changed(path, default)).run_id == CONFIG.run_id
    # JSON writers may drop a float's point.
    assert read(changed("optimizer.clip_norm", 1)).run_id == CONFIG.run_id


def test_a_whole_number_given_for_a_rate_is_the_same_run() -> None:
    one, other = (
        dataclasses.replace(CONFIG, optimizer=OptimizerConfig(rate, 10, clip_norm=rate))
        for rate in (1, 1.0)
    )
    assert one.run_id == other.run_id == RunConfig.from_json(one.to_json()).run_id


def test_tokens_are_those_of_all_steps() -> None:
    assert CONFIG.tokens_per_step == 8 * 64
    assert CONFIG.tokens == 100 * 8 * 64


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sead", r"RunConfig has no field 'sead' \(there is .*\); did you mean 'seed'\?"),
        ("shape.d_modle", r"RunConfig\.shape has no field 'd_modle' .*; did you mean 'd_model'\?"),
        ("optimizer.beta_1", r"RunConfig\.optimizer has no field .*; did you mean 'beta1'\?"),
        (
            "data.zzz",
            r"RunConfig\.data has no field 'zzz' \(there is corpus, tokenizer, repeat, "
            r"unique_tokens, .*\)$",
        ),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(changed(path, 1))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("steps", 1.5, r"RunConfig\.steps must be int, not 1\.5"),
        ("steps", "100", r"RunConfig\.steps must be int, not '100'"),
        ("steps", True, r"RunConfig\.steps must be int, not True"),
        ("steps", None, r"RunConfig\.steps must be int, not None"),
        ("optimizer.peak_lr", "fast", r"RunConfig\.optimizer\.peak_lr must be float, not 'fast'"),
        ("optimizer.peak_lr", True, r"peak_lr must be float, not True"),
        ("shape.head_dim", "8", r"RunConfig\.shape\.head_dim must be int, not '8'"),
        ("shape.head_dim", False, r"head_dim must be int, not False"),
        ("shape.tied_embedding", 1, r"tied_embedding must be bool, not 1"),
        ("data.corpus", 3, r"RunConfig\.data\.corpus must be str, not 3"),
        ("shape", [1], r"RunConfig\.shape must be an object, not \[1\]"),
        ("precision", "bfloat8", r"precision is 'bfloat8' .*; did you mean 'bfloat16'\?"),
        ("shape.positions", ["rotary"], r"positions is \['rotary'\] \(there is rotary, learned\)"),
        ("shape.activation", 1, r"activation is 1 \(there is gelu, swiglu\)"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(changed(path, value))


@pytest.mark.parametrize("path", ["steps", "shape", "shape.d_ff", "optimizer.peak_lr"])
def test_a_missing_field_is_named(path: str) -> None:
    data = as_dict()
    *parents, name = path.split(".")
    del (data[parents[0]] if parents else data)[name]
    where = ".".join(["RunConfig", *parents])
    with pytest.raises(InputError, match=f"^{where} lacks the field '{name}'"):
        read(data)


@pytest.mark.parametrize("text", ["", "{", "{'steps': 1}"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not JSON"):
        RunConfig.from_json(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"run"'])
def test_json_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="RunConfig must be an object"):
        RunConfig.from_json(text)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_finite_are_refused(constant: str) -> None:
    for name in ("peak_lr", "weight_decay", "eps", "clip_norm", "beta1", "final_lr_fraction"):
        text = json.dumps(changed(f"optimizer.{name}", "@")).replace('"@"', constant)
        with pytest.raises(InputError, match=name):
            RunConfig.from_json(text)


def test_a_part_can_be_read_alone() -> None:
    assert from_dict(Shape, dataclasses.asdict(SHAPE)) == SHAPE
    with pytest.raises(InputError, match="Shape has no field 'depth'"):
        from_dict(Shape, dataclasses.asdict(SHAPE) | {"depth": 2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"steps": 0}, "steps 0 must be at least 1"),
        ({"eval_tokens": 0}, "eval_tokens 0 must be at least 1"),
        ({"steps": 10}, "warmup_steps 10 must be below steps 10"),
        ({"seed": -1}, r"seed -1 must lie in \[0, 2\^32\)"),
        ({"seed": 2**32}, r"seed 4294967296 must lie in"),
        ({"seed": 1.0}, r"seed 1.0 must be a whole number, such as 8"),
        ({"precision": "float16"}, "precision is 'float16' .*; did you mean"),
        ({"version": 2}, "config version 2 is not 1"),
        (
            {"optimizer": dataclasses.replace(OPTIMIZER, balance_weight=0.1)},
            "balance_weight 0.1 has no effect in a dense model: leave it out, or set the",
        ),
        ({"eval_every": 0}, "eval_every 0 must be at least 1"),
        ({"eval_every": 1.5}, "eval_every 1.5 must be a whole number"),
        ({"eval_every": 10**9}, r"eval_every 1,000,000,000 tokens is more than the run's"),
        ({"curve_tokens": 64}, "curve_tokens 64 has no effect without eval_every"),
        (
            {"eval_every": LogSpaced(), "curve_tokens": 5000},
            "curve_tokens 5,000 is more than eval_tokens 4,096",
        ),
        ({"evals": (CODE, CODE)}, "2 evaluation sets are named 'code': give each its own name"),
        (
            {"evals": (EvalSet("x", "stdlib"), EvalSet("x", "task:y"))},
            "2 evaluation sets are named",
        ),
        ({"evals": ("stdlib",)}, "'stdlib' is not an evaluation set"),
    ],
)
def test_impossible_runs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(CONFIG, **changes)


def test_a_constant_learning_rate_and_no_warmup_are_possible() -> None:
    optimizer = dataclasses.replace(
        OPTIMIZER, warmup_steps=0, final_lr_fraction=1.0, beta1=0.0, weight_decay=0.0
    )
    assert dataclasses.replace(CONFIG, optimizer=optimizer, steps=1).steps == 1


def test_a_config_can_be_a_key_and_cannot_change() -> None:
    assert {CONFIG: 1}[RunConfig.from_json(CONFIG.to_json())] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONFIG.seed = 3  # type: ignore[misc]


def test_a_whole_number_given_for_a_capacity_is_the_same_run() -> None:
    whole, point = (dataclasses.replace(MIXED, capacity=c) for c in (3, 3.0))
    texts = {dataclasses.replace(CONFIG, shape=shape).to_json() for shape in (whole, point)}
    assert len(texts) == 1


HOSTILE: dict[str, str] = {
    "a list": "[]",
    "an object": '{"a": 1}',
    "text": '"x"',
    "true": "true",
    "1e400": "1" + "0" * 400,
    "nested": "[" * 500 + "]" * 500,
}


@pytest.mark.parametrize("path", [*OTHER, "parameterization.rule", "version"])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_field_of_another_kind_is_named_in_one_short_message(path: str, value: str) -> None:
    base = base_of(path)
    of_the_kind = {"text": str, "true": bool}.get(value)
    if of_the_kind is not None and path in ("data.corpus", "data.tokenizer", "data.repeat"):
        return
    if of_the_kind is bool and isinstance(OTHER.get(path), bool):
        return
    if value == "a list" and path == "evals":
        return
    text = json.dumps(changed(path, "@", base)).replace('"@"', HOSTILE[value])
    with pytest.raises(InputError, match=path.rpartition(".")[2]) as caught:
        RunConfig.from_json(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"shape":' * 200_000, "1" * 5000],
    ids=["lists", "objects", "5,000 digits"],
)
def test_json_that_cannot_be_parsed_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"config\.json is n"):
        RunConfig.from_json(text)


def test_a_size_beyond_any_machine_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"n_heads 7 does not divide d_model 4611686018427387904"):
        dataclasses.replace(SHAPE, d_model=2**62, n_heads=7, head_dim=None)
