"""Compare the records of a study under random faults with those of the same study without faults.

    python benchmarks/chaos.py --out DIR --faults 200 [--runs 40] [--workers 4] [--seed 0]

A supervisor starts `scaling-jax run` again whenever the command ends, until every run has ended.
Meanwhile the supervisor kills and stops the command's processes, damages its files and, as root on
Linux, fills its disk. The program prints the number of faults of each kind, and whether the records
and the loss curves are identical, bit for bit.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from scaling_jax.study import Store, collect, curves

EXPERIMENT = """
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Study

N_BUDGETS = {n_budgets}
recipe = Recipe(
    data=DataConfig("synthetic:markov?characters=3000000"),
    family=Family(vocab_size=256, seq_len=32),
    peak_lr=ConstantLR(1e-2),
    batch_size=ConstantBatch(8),
    eval_tokens=4096,
)
budgets = tuple(5e9 * 1.1**i for i in range(N_BUDGETS))
sizes = (5e3, 10e3, 15e3, 20e3, 26e3)
study = Study("chaos", recipe, IsoFlop(budgets, (sizes,) * N_BUDGETS))
"""
SIZES = 5
DISK = "96m"
# These columns depend on the load of the machine, or on commits made meanwhile.
VOLATILE = ["seconds", "tokens_per_second", "commit", "code_changed"]
OVER = "result.json"


class Supervised:
    """A study that is being trained, and the faults that are inflicted on it."""

    def __init__(self, experiment: Path, root: Path, workers: int, rng: random.Random) -> None:
        self.root, self.rng, self.tally = root, rng, Counter[str]()
        self.ends = Counter[int]()
        self.command = [
            *(sys.executable, "-c", "from scaling_jax.cli import main; raise SystemExit(main())"),
            *("run", str(experiment), "--root", str(root), "--workers", str(workers)),
            *("--attempts", "1000", "--retry-wait", "0.05", "--checkpoint-seconds", "0.3"),
        ]
        self.process: subprocess.Popen | None = None

    def keep_running(self) -> bool:
        """Start the command if it has ended; return whether any run is left to train."""
        if self.process is None or self.process.poll() is not None:
            if self.process is not None:
                self.ends[self.process.returncode] += 1
            if self.is_over():
                return False
            log = (self.root.parent / f"{self.root.name}.log").open("a")
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        return True

    def is_over(self) -> bool:
        runs = list(self.root.glob("*/runs/*/plan.json"))
        return bool(runs) and all(_is_json(path.parent / OVER) for path in runs)

    def finish(self) -> None:
        while self.keep_running():
            time.sleep(0.2)

    def harm(self) -> bool:
        """Draw a fault and inflict it; return False if the drawn fault is impossible now."""
        kind, act = self.rng.choice(self.faults())
        if act():
            self.tally[kind] += 1
            return True
        return False

    def faults(self) -> list[tuple[str, Callable[[], bool]]]:
        return [
            ("worker SIGKILL", lambda: self.signal_worker(signal.SIGKILL)),
            ("worker SIGTERM", lambda: self.signal_worker(signal.SIGTERM)),
            ("parent SIGKILL", lambda: self.signal_parent(signal.SIGKILL)),
            ("parent SIGTERM", lambda: self.signal_parent(signal.SIGTERM)),
            ("everything SIGKILL", self.kill_everything),
            ("checkpoint cut short", lambda: self.damage("checkpoints/*/**/*", cut)),
            ("checkpoint overwritten", lambda: self.damage("checkpoints/*/**/*", self.overwrite)),
            ("metrics cut short", lambda: self.damage("metrics.jsonl", cut)),
            ("metrics overwritten", lambda: self.damage("metrics.jsonl", self.overwrite)),
            ("history cut short", lambda: self.damage("history/*.json", cut)),
            ("result cut short", lambda: self.damage(OVER, cut, over=True)),
            ("disk full", self.fill_disk),
        ]

    def workers(self) -> list[int]:
        if self.process is None or self.process.poll() is not None:
            return []
        pid = self.process.pid
        with suppress(OSError):
            return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def signal_worker(self, signum: int) -> bool:
        if not (pids := self.workers()):
            return False
        with suppress(ProcessLookupError):
            os.kill(self.rng.choice(pids), signum)
        return True

    def signal_parent(self, signum: int) -> bool:
        if not self.workers():
            return False  # The process is just starting or ending.
        assert self.process is not None
        self.process.send_signal(signum)
        self.process.wait()
        return True

    def kill_everything(self) -> bool:
        pids = self.workers()
        if not pids or not self.signal_parent(signal.SIGKILL):
            return False
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True

    def damage(self, files: str, how: Callable[[Path], None], *, over: bool = False) -> bool:
        """Damage a file of a random run, finished or not."""
        runs = [path.parent for path in self.root.glob("*/runs/*/plan.json")]
        found = [
            path
            for run in runs
            if _is_json(run / OVER) == over
            for path in run.glob(files)
            if path.is_file()
        ]
        if not found:
            return False
        with suppress(FileNotFoundError):  # Another process deleted the file first.
            how(self.rng.choice(sorted(found)))
        return True

    def overwrite(self, path: Path) -> None:
        """Overwrite sixteen bytes at a random position."""
        with path.open("r+b") as file:
            file.seek(self.rng.randrange(max(1, path.stat().st_size)))
            file.write(b"\xff" * 16)

    def fill_disk(self) -> bool:
        """Fill the disk for a second; needs a root on its own file system."""
        if not os.path.ismount(self.root):
            return False
        ballast = self.root / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**16))
        time.sleep(1.0)
        ballast.unlink()
        return True


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def compare(left: Store, right: Store) -> list[str]:
    """The differences between the records and curves of two stores of one study, as sentences."""
    differences = []
    for name, read in (("records", collect), ("curves", curves)):
        a, b = (read(store).drop(columns=VOLATILE, errors="ignore") for store in (left, right))
        try:
            pd.testing.assert_frame_equal(a, b, check_exact=True)
        except AssertionError as error:
            differences.append(f"{name}: {error}")
    return differences


@contextmanager
def own_disk(path: Path):
    """Mount a small file system at `path`, if permitted, so that the disk can be filled."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(path)]
    mounted = False
    with suppress(OSError):
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="an empty directory")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between faults")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    experiment = options.out / "experiment.py"
    experiment.write_text(EXPERIMENT.format(n_budgets=options.runs // SIZES))

    began = time.monotonic()
    calm = Supervised(experiment, options.out / "calm", options.workers, rng)
    calm.finish()
    print(f"undisturbed: {time.monotonic() - began:.0f} s, exits {dict(calm.ends)}", flush=True)

    began, done = time.monotonic(), 0
    with own_disk(options.out / "disturbed"):
        study = Supervised(experiment, options.out / "disturbed", options.workers, rng)
        while done < options.faults:
            study.keep_running()
            time.sleep(rng.expovariate(1 / options.pause))
            done += study.harm()
        study.finish()
        print(f"disturbed: {time.monotonic() - began:.0f} s, exits {dict(study.ends)}")
        for kind, n in sorted(study.tally.items()):
            print(f"  {n:4d}  {kind}")
        print(f"  {done:4d}  faults in all")
        differences = compare(Store.open(calm.root), Store.open(study.root))
        states = Counter(run.state for run in Store.open(study.root).runs())
    print(f"states: {dict(states)}")
    print("\n".join(differences) or "records and curves are the same, bit for bit")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
