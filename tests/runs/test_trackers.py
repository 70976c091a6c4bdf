"""Trackers get every scalar of a run and a held-out loss, and never hold up or end a run."""

import json
import os
import sys
import threading
import types
from pathlib import Path

import pytest
from etils import epath

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.runs import tracking
from scaling_jax.runs.held_out import HeldOutLoss
from scaling_jax.runs.metrics import open_metrics
from scaling_jax.runs.tracking import checked_track, open_tracker, tracked_run

CONFIG = RunConfig(
    Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=256, seq_len=8),
    DataConfig(),
    OptimizerConfig(peak_lr=1e-2, warmup_steps=1),
    batch_size=2,
    steps=6,
    eval_tokens=64,
)
RUN_ID = CONFIG.run_id


@pytest.fixture
def directory(tmp_path: Path) -> epath.Path:
    """That of a run in the study `mine`."""
    path = epath.Path(tmp_path / "mine" / "runs" / RUN_ID)
    path.mkdir(parents=True)
    return path


def report(directory: epath.Path, tracker: str, first: int, last: int, resume_step: int = 0):
    """What training reports of steps `first` to `last`, and of the end if that is the last."""
    tracked = tracked_run(CONFIG, directory, resume_step)
    opened = lambda: [open_tracker(name, tracked) for name in checked_track([tracker])]  # noqa: E731
    with open_metrics(directory, resume_step, opened=opened) as log:
        for step in range(first, last + 1):
            log.add([{"step": step, "tokens": step * 16, "loss": 7.0 - step}])
        if last == CONFIG.steps:
            log.add_evaluation(last, last * 16, {"held_out": HeldOutLoss(1.5, 0.1, None)})


def test_json_lines_hold_the_run_and_all_that_happens(directory, tmp_path):
    path = tmp_path / "lines.jsonl"
    report(directory, f"jsonl:{path}", 1, 4)
    report(directory, f"jsonl:{path}", 3, 6, resume_step=2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {RUN_ID}
    begun = [line for line in lines if "config" in line]
    assert [line["resume_step"] for line in begun] == [0, 2]
    assert begun[0]["study"] == "mine"
    assert begun[0]["config"]["shape"] == json.loads(CONFIG.to_json())["shape"]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == [1, 2, 3, 4, 3, 4, 5, 6]
    assert lines[-1] == {"run_id": RUN_ID, "step": 6, "eval/held_out": 1.5}


def test_a_pipe_is_written_once_somebody_reads_it(directory, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = list[str]()
    reader = threading.Thread(target=lambda: read.extend((tmp_path / "pipe").open()))
    tracked = tracked_run(CONFIG, directory, 0)
    tracker = open_tracker(f"jsonl:{tmp_path / 'pipe'}", tracked)
    tracker.add(1, {"loss": 6.0})  # Returns, although nobody reads.
    reader.start()
    tracker.close()
    reader.join()
    assert [json.loads(line).get("loss") for line in read] == [None, 6.0]


@pytest.mark.parametrize("error", [RuntimeError("no login\nlog in first"), SystemExit("offline")])
def test_a_tracker_that_fails_warns_and_the_run_goes_on(monkeypatch, directory, capsys, error):
    def init(**_):
        raise error

    fake_wandb(monkeypatch, init)
    report(directory, "wandb", 1, 6)
    printed = capsys.readouterr().err
    assert printed.count("warning: tracker wandb stopped: ") == 1
    assert "log in first" not in printed
    assert len((directory / "metrics.jsonl").read_text().splitlines()) == 6


def test_a_tracker_that_hangs_is_left_behind(monkeypatch, directory, capsys):
    monkeypatch.setattr(tracking, "CLOSE_SECONDS", 0.05)
    released = threading.Event()
    fake_wandb(monkeypatch, lambda **_: released.wait() and None)
    report(directory, "wandb", 1, 6)
    assert "tracker wandb has not taken everything" in capsys.readouterr().err
    released.set()


def test_weights_and_biases_continue_the_run_of_the_same_id(monkeypatch, directory):
    logged, begun = [], []

    class Run:
        def log(self, values, step):
            logged.append((step, values))

        def finish(self):
            logged.append("finished")

    fake_wandb(monkeypatch, lambda **options: begun.append(options) or Run())
    report(directory, "wandb", 1, 6)
    assert begun[0]["id"] == RUN_ID
    assert begun[0]["resume"] == "allow"
    assert begun[0]["group"] == "mine"
    assert begun[0]["config"]["tokens"] == CONFIG.tokens
    assert logged[0] == (1, {"tokens": 16, "loss": 6.0})
    assert logged[-2:] == [(6, {"eval/held_out": 1.5}), "finished"]


def fake_wandb(monkeypatch, init) -> None:
    module = types.ModuleType("wandb")
    module.__spec__ = types.SimpleNamespace()
    module.init, module.Settings = init, dict
    monkeypatch.setitem(sys.modules, "wandb", module)


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_offline(monkeypatch, directory):
    wandb = pytest.importorskip("wandb", reason="needs scaling_jax[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    report(directory, "wandb", 1, 4)
    report(directory, "wandb", 3, 6, resume_step=2)
    stored = sorted((directory / "wandb").glob(f"offline-run-*-{RUN_ID}/*.wandb"))
    assert len(stored) == 2
    wandb.teardown()
    names = b"".join(path.read_bytes() for path in stored)
    assert b"eval/held_out" in names
    assert b"d_model" in names


@pytest.mark.filterwarnings("ignore")
def test_mlflow_in_a_folder(monkeypatch, directory, tmp_path):
    pytest.importorskip("mlflow", reason="needs scaling_jax[mlflow]")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    report(directory, "mlflow", 1, 4)
    report(directory, "mlflow", 3, 6, resume_step=2)
    client = MlflowClient()
    [run] = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.data.params["shape.d_model"] == "8"
    assert run.data.metrics["eval/held_out"] == 1.5
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted(metric.step for metric in history) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("track", "words"),
    [
        (["wanbd"], "'wanbd' is unknown .*jsonl:PATH.*did you mean 'wandb'"),
        (["jsonl:"], "'jsonl:' is unknown"),
        (["jsonl:/a", "jsonl:/a"], "names jsonl:/a twice"),
        ("wandb", "must be a tuple"),
    ],
)
def test_a_wrong_tracker_is_refused(track, words):
    with pytest.raises(InputError, match=words):
        checked_track(track)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'scaling_jax\[mlflow\]'"):
        checked_track(["mlflow"])
