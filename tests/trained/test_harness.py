"""Likelihoods and scores are those of lm-evaluation-harness, on three formats of tasks.

The tests need the package lm_eval, and those of the exported model PyTorch, transformers and
accelerate too: `pip install 'scaling_jax[eval]' 'lm_eval[hf]'`.
"""

import json

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.trained.harness import harness_model

lm_eval = pytest.importorskip("lm_eval")
# Packages that the harness imports warn of what will change in them.
pytestmark = pytest.mark.filterwarnings("ignore")

LONG = "the law of the loss and a model in the batch of a large and a small step " * 2
CHOICES = [
    {"context": "the law of", "choices": ["model", "a", "zürich, small"], "gold": 1},
    {"context": LONG.strip(), "choices": ["loss", "xq"], "gold": 0},
    {"context": "in the deep", "choices": ["step", "a wide batch"], "gold": 1},
    {"context": "a", "choices": ["token", "small step in", "loss"], "gold": 2},
]
WORDS = [
    {"context": "the law of", "word": "loss"},
    {"context": "t", "word": "e"},
    {"context": LONG.strip(), "word": "batch"},
]
# The option stands in the context, and the rest of the sentence is scored (WinoGrande).
SENTENCES = [
    {"options": ["a law of", "a batch of"], "rest": "loss", "gold": 0},
    {"options": ["the deep", "the wide"], "rest": "model in a step", "gold": 1},
]
SHARED = {"test_split": "test", "num_fewshot": 0}
TASKS = {
    "choices": {
        **SHARED,
        "output_type": "multiple_choice",
        "doc_to_text": "{{context}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes")],
    },
    "words": {
        **SHARED,
        "output_type": "loglikelihood",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{' ' + word}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    },
    "sentences": {
        **SHARED,
        "output_type": "multiple_choice",
        "doc_to_text": "{{gold}}",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{rest}}",
        "metric_list": [{"metric": "acc"}],
    },
}
ROWS = {"choices": CHOICES, "words": WORDS, "sentences": SENTENCES}
OURS = {
    "choices": lambda row: (row["context"], [f" {c}" for c in row["choices"]], row["gold"]),
    "words": lambda row: (row["context"], [f" {row['word']}"], 0),
    "sentences": lambda row: (row["options"], [f" {row['rest']}"] * 2, row["gold"]),
}


def ours(name, path):
    """The task in our format."""
    lines = [
        json.dumps(dict(zip(("context", "continuations", "gold"), OURS[name](row), strict=True)))
        for row in ROWS[name]
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def run(directory):
    return sj.load_run(directory)


@pytest.fixture(scope="module", params=["exported", "adapter"])
def model(request, run, tmp_path_factory):
    """The harness's own model of the exported files, and ours inside the harness."""
    if request.param == "adapter":
        return harness_model(run)
    for package in ("torch", "transformers", "accelerate"):
        pytest.importorskip(package)
    from lm_eval.models.huggingface import HFLM

    path = run.export(tmp_path_factory.mktemp("exported") / "model")
    # The files name no token for an empty context; the separator of the bytes is a newline.
    known = dict(device="cpu", batch_size=2, max_length=32, dtype="float32", prefix_token_id=10)
    return HFLM(pretrained=str(path), **known)


@pytest.mark.parametrize("name", TASKS)
def test_the_harness_finds_the_same(model, run, name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    data = tmp_path / "harness.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}}
    task = {"task": name, **source, **TASKS[name]}
    found = lm_eval.simple_evaluate(
        model=model, tasks=[task], log_samples=True, bootstrap_iters=0, verbosity="ERROR"
    )
    likelihoods = [pair for sample in found["samples"][name] for pair in sample["filtered_resps"]]
    theirs = np.array([float(likelihood) for likelihood, _ in likelihoods])
    scored = run.score(str(ours(name, tmp_path / "ours.jsonl")))
    pairs = [
        pair
        for row in ROWS[name]
        for context, texts, _ in [OURS[name](row)]
        for pair in zip(
            [context] * len(texts) if isinstance(context, str) else context, texts, strict=True
        )
    ]
    mine = run.log_likelihoods(pairs)
    print(f"{name}: largest difference {np.abs(theirs - mine.log_likelihood_N).max():.1e} nats")
    np.testing.assert_allclose(theirs, mine.log_likelihood_N, atol=1e-4)
    assert [bool(greedy) for _, greedy in likelihoods] == list(mine.is_greedy_N)
    results = found["results"][name]
    for metric in ("acc", "acc_norm", "acc_bytes"):
        if f"{metric},none" in results:
            assert results[f"{metric},none"] == pytest.approx(getattr(scored, metric).value)
    if name == "words":
        assert results["perplexity,none"] == pytest.approx(np.exp(scored.nats.value), rel=1e-5)


def test_rolling_likelihoods_are_the_same(model, run):
    from lm_eval.api.instance import Instance

    rolling = [Instance("loglikelihood_rolling", {}, (LONG,), 0)]
    (theirs,), (mine,) = (
        each.loglikelihood_rolling(rolling) for each in (model, harness_model(run))
    )
    assert float(theirs) == pytest.approx(mine, abs=1e-3)


def test_generated_text_ends_before_its_stop(run):
    from lm_eval.api.instance import Instance

    options = {"until": ["e"], "max_gen_toks": 8}
    found = harness_model(run).generate_until(
        [Instance("generate_until", {}, ("the law", options), 0)]
    )
    assert found == [run.generate("the law", 8, 0.0)[len("the law") :].split("e")[0]]
