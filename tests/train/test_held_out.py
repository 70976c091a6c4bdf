"""Held-out curves: the same windows, whatever happened to the run, and beside whatever run."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from flax import nnx
from helpers import small_run, write_text

import scaling_jax as sj
from scaling_jax import data
from scaling_jax.accounting import flops
from scaling_jax.architectures.own import own_module
from scaling_jax.config import EvalSet, LogSpaced, NoiseScale
from scaling_jax.errors import InputError
from scaling_jax.runs.curve_files import read_evaluations, read_noise
from scaling_jax.runs.details import DETAILS_FILE, read_details
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, make_mesh, programs, train_replicas, train_run
from scaling_jax.train.lineage import Lineage, Origin

ONE = {"n_layers": 1}
DISPATCH = Execution(steps_per_dispatch=4)
WORDS = ("law", "token", "batch", "step", "model", "deep", "small", "large")
SETS = (EvalSet("chain", "synthetic:markov?characters=200000"),)


def options(cache):
    mesh = make_mesh(devices=jax.devices()[:1])
    return dict(cache_dir=cache, mesh=mesh, execution=DISPATCH, progress=False)


def stopping_at(at):
    def stop(step, loss, speed):
        if step >= at:
            raise Preempted("enough")

    return stop


def task_of(text):
    """A task beside `text`: eight choices, of which three are on the curve."""
    path = text.with_name("choices.jsonl")
    if not path.exists():
        rows = [
            {"context": f"the {word}", "continuations": [" loss", " zzzz"], "gold": i % 2}
            for i, word in enumerate(WORDS)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return EvalSet("words", f"task:{path}?curve=3")


def evaluated(text, **changes):
    evals = (*SETS, task_of(text))
    known = dict(steps=24, shape={"n_layers": 1}, eval_every=5 * 256, curve_tokens=160, evals=evals)
    known["eval_details"] = True
    return small_run(text, **(known | changes))


def curve(directory):
    return read_evaluations(epath.Path(directory))


def same_but_for_time(one, other):
    return replace(one, seconds={}, tokens_per_second=None) == replace(
        other, seconds={}, tokens_per_second=None
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("undisturbed") / "run"


@pytest.fixture(scope="module")
def undisturbed(text, cache, directory):
    """The result, the held-out curve and the directory of a run that nothing stopped."""
    result = train_run(evaluated(text), directory, **options(cache))
    return result, curve(directory), directory


def details(directory, result):
    return read_details(epath.Path(directory), result.details)


def test_the_curve_holds_each_set_at_each_point_and_the_record_its_least(undisturbed):
    result, rows, _ = undisturbed
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 24]
    assert [row["tokens"] for row in rows] == [256 * row["step"] for row in rows]
    losses = np.array([[row["loss"], row["loss_chain"]] for row in rows])
    assert (losses[0] > losses[-1]).all()
    assert all(row["loss_stderr"] > 0 < row["loss_chain_stderr"] for row in rows)
    # The windows of the curve are a part of those at the end.
    assert abs(rows[-1]["loss"] - result.loss) < 4 * rows[-1]["loss_stderr"]
    least = rows[int(losses[:, 1].argmin())]
    assert result.held_out["loss_chain_least_tokens"] == least["tokens"]
    shift = result.held_out["loss_chain"] - rows[-1]["loss_chain"]
    assert result.held_out["loss_chain_least"] == pytest.approx(least["loss_chain"] + shift)


def test_a_task_has_scores_at_each_point_and_on_the_record(undisturbed, text, directory):
    result, rows, _ = undisturbed
    record = result.held_out
    # At the end half of the answers are right: a word of the text is likelier than another.
    assert (record["acc_words"], record["acc_norm_words"]) == (0.5, 0.5)
    assert (record["chance_words"], record["questions_words"]) == (0.5, 8)
    assert record["acc_words_stderr"] == pytest.approx((2 / 7 / 8) ** 0.5)
    # Questions 0, 4 and 7 (the nearest to the middle is 4) are on the curve; 0 and 4 have gold 0.
    assert rows[-1]["acc_words"] == pytest.approx(2 / 3)
    assert rows[0]["bits_per_byte_words"] > rows[-1]["bits_per_byte_words"] > 0
    run = sj.load_run(directory)
    score = run.score(run.config.evals[1].corpus)
    assert score.bits_per_byte.value == record["bits_per_byte_words"]
    assert score.soft.value == record["soft_words"]


def test_evaluation_flops_are_a_forward_pass_of_each_window(undisturbed, text):
    result = undisturbed[0]
    # 64 windows at the end, twice, and 5 of them at the four points before, of two sets; and 8
    # questions at the end and 3 at the points before, each of two answers padded to one length.
    of_window = flops.training_flops(evaluated(text).shape, 32) // 3
    assert result.evaluation_flops == of_window * (2 * (2 * 64 + 4 * 5) + 2 * (8 + 4 * 3))


def test_a_shorter_text_is_measured_whole(text, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_JAX_CACHE", str(cache))
    known = dict(steps=8, evals=SETS, eval_every=None, curve_tokens=None, eval_details=False)
    config = replace(evaluated(text, **known), eval_tokens=300_000, eval_at_most=True)
    result = train_run(config, tmp_path / "run", **options(cache))
    texts = [
        data.prepare(name, "bytes", cache, progress=False)
        for name in (config.data.corpus, "synthetic:markov?characters=200000")
    ]
    windows = [(len(each.held_out) - 1) // 32 for each in texts]
    assert windows[0] != windows[1] < 300_000 // 32
    of_window = flops.forward_ops(config.shape).total
    assert result.evaluation_flops == of_window * sum(windows)
    assert sj.load_run(tmp_path / "run").evaluate().loss == result.loss


def test_a_share_of_training_pays_for_the_curve(text, cache, tmp_path):
    config = evaluated(text, eval_every=LogSpaced(4, 0.2, 0.5), curve_tokens=None, evals=SETS)
    result = train_run(config, tmp_path / "run", **options(cache))
    training = flops.training_flops(config.shape, config.tokens, "exact")
    # Two passes over 64 windows of two sets at the end, and three points on 48 windows before.
    along = result.evaluation_flops - 2 * 2 * 64 * flops.forward_ops(config.shape).total
    assert along == training // 2
    rows = curve(tmp_path / "run")
    assert len(rows) == 4
    assert abs(rows[-1]["loss"] - result.loss) < rows[-1]["loss_stderr"]


def test_losses_by_window_and_by_position_have_the_recorded_mean(undisturbed):
    result, _, directory = undisturbed
    found = details(directory, result)
    assert list(found) == ["held_out", "chain"]
    for name, loss in (("held_out", result.loss), ("chain", result.held_out["loss_chain"])):
        assert found[name].window_N.shape == (64,)
        assert found[name].window_N.mean(dtype=float) == loss
        table = found[name].by_position()
        assert list(table["position"]) == list(range(1, 33))
        assert table["loss"].mean() == pytest.approx(loss, rel=1e-6)
        assert (table["loss_stderr"] > 0).all()
    # The text's next character follows from the words before it, which the first position lacks.
    text_loss = found["held_out"].position_T
    assert text_loss[0] > text_loss[-8:].mean()


def test_evaluations_change_nothing_else(undisturbed, text, cache, tmp_path):
    result = undisturbed[0]
    compiled = programs._train.cache_info().misses
    config = small_run(text, steps=24, shape={"n_layers": 1})
    plain = train_run(config, tmp_path / "run", **options(cache))
    assert programs._train.cache_info().misses == compiled
    assert (plain.loss, plain.loss_stderr, plain.curve) == (
        result.loss,
        result.loss_stderr,
        result.curve,
    )
    assert not (tmp_path / "run" / "evaluations.jsonl").exists()
    assert not (tmp_path / "run" / DETAILS_FILE).exists()
    assert (plain.held_out, plain.details) == ({}, None)


@pytest.mark.parametrize("often", [0.0, 3600.0])
def test_a_run_that_was_stopped_has_the_same_curve(undisturbed, text, cache, tmp_path, often):
    for at in (3, 8, 13, 24):
        with pytest.raises(Preempted):
            train_run(
                evaluated(text),
                tmp_path / "run",
                **options(cache),
                checkpoint_seconds=often,
                report=stopping_at(at),
            )
    result = train_run(evaluated(text), tmp_path / "run", **options(cache))
    assert curve(tmp_path / "run") == undisturbed[1]
    assert same_but_for_time(result, undisturbed[0])


@pytest.mark.parametrize("lost", ["whole", "cut", "without its result"])
def test_a_lost_point_is_measured_again(undisturbed, text, cache, tmp_path, lost):
    path = tmp_path / "run" / "evaluations.jsonl"
    often = dict(checkpoint_seconds=0.0, lineage=Lineage(kept=frozenset({4})))
    if lost == "without its result":
        train_run(evaluated(text), tmp_path / "run", **options(cache), **often)
        (tmp_path / "run" / "result.json").unlink()
    else:
        stop = often | {"report": stopping_at(18)}
        with pytest.raises(Preempted):
            train_run(evaluated(text), tmp_path / "run", **options(cache), **stop)
        content = path.read_bytes()
        path.write_bytes(b"" if lost == "whole" else content[: len(content) // 2])
    result = train_run(evaluated(text), tmp_path / "run", **options(cache), **often)
    assert curve(tmp_path / "run") == undisturbed[1]
    assert result.evaluations == undisturbed[0].evaluations


def close_to(rows, expected):
    assert [row.keys() for row in rows] == [row.keys() for row in expected]
    for row, other in zip(rows, expected, strict=True):
        np.testing.assert_allclose(list(row.values()), list(other.values()), rtol=1e-4)


def close_in_detail(found, expected):
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        assert found[name].windows == each.windows
        for field in ("window_N", "position_T", "position_stderr_T"):
            ours, theirs = getattr(found[name], field), getattr(each, field)
            np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_eight_devices_give_the_curve_of_one(undisturbed, text, cache, tmp_path):
    mesh = make_mesh(MeshSpec(data=2, fsdp=2, tensor=2), jax.devices()[:8])
    result = train_run(evaluated(text), tmp_path / "run", **options(cache) | {"mesh": mesh})
    close_to(curve(tmp_path / "run"), undisturbed[1])
    close_in_detail(details(tmp_path / "run", result), details(undisturbed[2], undisturbed[0]))


def test_runs_side_by_side_have_the_curves_of_runs_alone(undisturbed, text, cache, tmp_path):
    shorter = evaluated(text, steps=12, seed=1)
    train_run(shorter, tmp_path / "alone", **options(cache))
    diverges = evaluated(text, optimizer={"peak_lr": 1e30, "warmup_steps": 0})
    directories = [tmp_path / str(i) for i in range(3)]
    results = train_replicas([evaluated(text), shorter, diverges], directories, **options(cache))
    close_to(curve(directories[0]), undisturbed[1])
    close_in_detail(details(directories[0], results[0]), details(undisturbed[2], undisturbed[0]))
    close_to(curve(directories[1]), curve(tmp_path / "alone"))
    assert (results[2].status, results[2].details) == ("diverged", None)
    assert results[2].held_out["loss_chain"] is None
    assert results[2].held_out["acc_words"] is None


class Mean(nnx.Module):
    """A user's own module: each position has the mean of the embeddings up to it."""

    def __init__(self, shape, *, rngs):
        self.embedding = nnx.Embed(shape.vocab_size, shape.d_model, rngs=rngs)
        self.mix = nnx.Linear(shape.d_model, shape.d_model, rngs=rngs)

    def __call__(self, tokens):
        x = self.embedding(tokens)
        n = jnp.arange(1, x.shape[1] + 1, dtype=x.dtype)[None, :, None]
        return self.embedding.attend(x + self.mix(jnp.cumsum(x, axis=1) / n))


ON_EIGHT = MeshSpec(data=2, fsdp=2, tensor=2)
OTHERS = {
    "recurrent": ({"architecture": "recurrent", "passes": 2}, ON_EIGHT),
    "lstm": ({"architecture": "lstm", "n_heads": 1, "d_ff": 16}, ON_EIGHT),
    "own": (own_module(Mean).shape, MeshSpec(data=4, fsdp=2)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_architecture_has_one_curve_wherever_it_is_trained(name, text, cache, tmp_path):
    changes, spec = OTHERS[name]
    known = dict(steps=12, evals=SETS, eval_details=False)
    config = evaluated(text, **known, **({} if callable(changes) else {"shape": changes | ONE}))
    if callable(changes):
        dims = dict(n_heads=2, d_ff=32, vocab_size=256, seq_len=32)
        config = replace(config, shape=changes(d_model=16, **ONE, **dims))
    result = train_run(config, tmp_path / "alone", **options(cache))
    rows = curve(tmp_path / "alone")
    assert [row["step"] for row in rows] == [5, 10, 12]
    stop = dict(report=stopping_at(8), checkpoint_seconds=0.0)
    with pytest.raises(Preempted):
        train_run(config, tmp_path / "again", **options(cache), **stop)
    resumed = train_run(config, tmp_path / "again", **options(cache))
    assert curve(tmp_path / "again") == rows
    assert same_but_for_time(resumed, result)
    mesh = make_mesh(spec, jax.devices()[:8])
    train_run(config, tmp_path / "eight", **options(cache) | {"mesh": mesh})
    close_to(curve(tmp_path / "eight"), rows)
    together = [tmp_path / "0", tmp_path / "1"]
    train_replicas([config, replace(config, seed=1)], together, **options(cache))
    close_to(curve(together[0]), rows)


def test_a_branch_has_the_curve_of_the_run_from_scratch(text, cache, tmp_path):
    wsd = {"schedule": "wsd", "warmup_steps": 5}
    known = dict(optimizer=wsd, noise_scale=NoiseScale(every=8 * 256, sequences=8))
    trunk, branch = (evaluated(text, steps=steps, **known) for steps in (40, 20))
    root = epath.Path(tmp_path)
    train_run(trunk, root / "trunk", **options(cache), lineage=Lineage(kept=frozenset({16})))
    scratch = train_run(branch, root / "scratch", **options(cache))
    begun = Lineage(Origin(root / "trunk", 16))
    branched = train_run(branch, root / "branch", **options(cache), lineage=begun)
    assert branched.begun_at == 16
    assert curve(root / "branch") == curve(root / "scratch")
    assert branched.held_out == scratch.held_out
    assert read_noise(root / "branch") == read_noise(root / "scratch")
    # The trunk has paid for the points before: two of the three measurements of the noise.
    assert branched.evaluation_flops < scratch.evaluation_flops
    paid = [each.noise_scale["noise_scale_flops"] for each in (branched, scratch)]
    assert paid[0] * 3 == paid[1]
    (root / "trunk" / "evaluations.jsonl").unlink()
    again = train_run(branch, root / "again", **options(cache), lineage=begun)
    assert again.begun_at == 0
    assert curve(root / "again") == curve(root / "scratch")


def test_the_windows_depend_on_no_run(text, cache, tmp_path):
    # A learning rate below half a unit in the last place of every parameter changes none.
    frozen = {"peak_lr": 1e-30, "weight_decay": 0.0}
    rows = []
    for i, changes in enumerate(({}, {"batch_size": 3, "eval_every": LogSpaced(3)})):
        config = evaluated(text, optimizer=frozen, **changes)
        train_run(config, tmp_path / str(i), **options(cache))
        rows += [{**row, "step": 0, "tokens": 0} for row in curve(tmp_path / str(i))]
    assert len({json.dumps(row) for row in rows}) == 1


def test_tensorboard_has_the_held_out_losses(undisturbed, text, cache, tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    train_run(evaluated(text), tmp_path / "run", **options(cache))
    (path,) = (tmp_path / "run" / "tensorboard").glob("events*")
    content, found = path.read_bytes(), {}
    while content:
        n = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + n])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        content = content[16 + n :]
    rows = undisturbed[1]
    for tag, column in (("eval/held_out", "loss"), ("eval/chain", "loss_chain")):
        assert [step for step, _ in found[tag]] == [row["step"] for row in rows]
        assert [loss for _, loss in found[tag]] == pytest.approx([row[column] for row in rows])


def test_a_task_that_has_changed_or_has_a_fault_is_refused(text, cache, tmp_path):
    path = tmp_path / "choices.jsonl"
    question = {"context": "the", "continuations": [" law", " of"], "gold": 0}
    path.write_text(json.dumps(question))
    config = evaluated(text, evals=(EvalSet("mine", f"task:{path}"),))
    with pytest.raises(Preempted):
        train_run(config, tmp_path / "run", **options(cache), report=stopping_at(8))
    path.write_text(json.dumps(question | {"gold": 1}))
    with pytest.raises(InputError, match="was started on text with fingerprint"):
        train_run(config, tmp_path / "run", **options(cache))
    path.write_text(json.dumps(question | {"gold": 2}))
    with pytest.raises(InputError, match=r"evaluation set 'mine': .* line 1: gold 2 must be"):
        train_run(config, tmp_path / "other", **options(cache))
    assert not (tmp_path / "other").exists()


def test_text_that_is_trained_on_is_refused_with_the_number_of_documents(text, cache, tmp_path):
    other = tmp_path / "other.txt"
    documents = text.read_text().split("\n\n")
    own = "\n\n".join(f"mine {document}" for document in documents[:200])
    other.write_text("\n\n".join([own, *documents[:20]]))
    config = evaluated(text, evals=(EvalSet("other", f"text:{other}", "all"),))
    with pytest.raises(InputError, match=r"'other' shares (1\d|20) documents .* with the training"):
        train_run(config, tmp_path / "run", **options(cache))
    other.write_text(own)
    train_run(config, tmp_path / "run", **options(cache))


@pytest.mark.parametrize(
    ("part", "message"),
    [("held_out", "'short' .*too short|held-out text has"), ("all", "held-out text has")],
)
def test_a_set_shorter_than_the_evaluation_is_refused(text, cache, tmp_path, part, message):
    short = write_text(tmp_path / "short.txt", n_documents=4, seed=1)
    config = evaluated(text, evals=(EvalSet("short", f"text:{short}", part),))
    with pytest.raises(InputError, match=message):
        train_run(config, tmp_path / "run", **options(cache))
    assert not (tmp_path / "run").exists()
