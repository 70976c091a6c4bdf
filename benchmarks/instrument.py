"""Everything that a run can measure, in one small study that is killed and started again.

    python benchmarks/instrument.py [FOLDER]

The study has four evaluation sets, two tasks, unique tokens, a mixture of corpora, dropout and the
gradient noise scale. It is trained once undisturbed, and once with SIGKILL while a run is under
way and again after that. Printed are the records, a held-out curve, and whether the two stores are
equal in every number but those of time. `scaling-jax run benchmarks/instrument.py` trains it too.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import scaling_jax as sj
from scaling_jax.config import DataConfig, Dropout, EvalSet, LogSpaced, NoiseScale
from scaling_jax.runs.curve_files import read_evaluations
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, FixedModels, PowerLawLR, Recipe, Store, Study

QUESTIONS = Path(__file__).with_name("instrument_questions.jsonl")
COMMAND = "import sys; from scaling_jax.cli import main; sys.exit(main(sys.argv[1:]))"
OF_TIME = ["seconds", "tokens_per_second"]

study = Study(
    "instrument",
    Recipe(
        data=DataConfig("mixture:embedded*0.7,stdlib*0.3", unique_tokens=100_000),
        family=Family(vocab_size=256, seq_len=64),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=16_384,
        eval_every=LogSpaced(points=8, start=0.03),
        evals=(
            EvalSet("prose", "embedded"),
            EvalSet("code", "stdlib"),
            EvalSet("chain", "synthetic:markov", part="all"),
            EvalSet("tunes", "music:tunes", part="all"),
            EvalSet("words", f"task:{QUESTIONS}?curve=20"),
            EvalSet("order", "cloze:embedded?wrong=order&questions=100&curve=20"),
        ),
        dropout=Dropout.everywhere(0.05),
        noise_scale=NoiseScale(LogSpaced(points=3, start=0.2), sequences=16),
    ),
    FixedModels(params=(5e3, 10e3), tokens_per_param=(5.0, 20.0)),
)


def started(root: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", COMMAND, "run", __file__, "--root", str(root)]
    return subprocess.Popen([*command, "--workers", "1"], start_new_session=True)


def trained(root: Path) -> Store:
    if code := started(root).wait():
        sys.exit(f"run ended with exit code {code}")
    return Store.open(root)


def kill_in_a_run(root: Path) -> str:
    """Start the study, kill it in the middle of a held-out curve, and return the run's id."""
    process = started(root)
    while process.poll() is None:
        for path in root.glob("instrument/runs/*/evaluations.jsonl"):
            ended = (path.parent / "result.json").exists()
            if not ended and path.read_bytes().count(b"\n") >= 3:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return path.parent.name
        time.sleep(0.02)
    sys.exit("the study ended before it was killed")


def records(store: Store) -> pd.DataFrame:
    return sj.collect(store).drop(columns=OF_TIME).set_index("run_id").sort_index()


def main(folder: Path) -> None:
    pd.set_option("display.width", 200, "display.max_columns", None)
    whole = trained(folder / "undisturbed")
    killed = kill_in_a_run(folder / "killed")
    again = trained(folder / "killed")
    one, other = records(whole), records(again)
    print(f"\nrecords of {len(other)} runs; run {killed} was killed and continued\n")
    found = ("loss", "acc", "bits", "soft", "questions_in_text", "noise_scale_", "evaluation_flops")
    print(other[["params", "tokens", *(c for c in other if c.startswith(found))]].T.to_string())
    rows = {s: read_evaluations(s.directory / "runs" / killed) for s in (whole, again)}
    print(f"\ncurve of run {killed}\n")
    curve = pd.DataFrame(rows[again])
    print(curve[[c for c in curve if "stderr" not in c]].round(4).to_string(index=False))
    print("\nrecords equal:", one.equals(other))
    equal = all(
        read_evaluations(whole.directory / "runs" / run)
        == read_evaluations(again.directory / "runs" / run)
        for run in one.index
    )
    print("curves equal:", equal)
    if not (equal and one.equals(other)):
        sys.exit(1)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    main(Path(given))
