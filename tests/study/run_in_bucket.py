"""Train the first run of the small study under argv[1].

argv[2] is `killed` for a process that dies after a checkpoint, or `ended`. Ended, it
prints what the study's commands find, as JSON, and writes the page argv[3].
"""

import gzip
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_studies import RECIPE, SIZES, losses

import scaling_jax as sj
from scaling_jax.data import load_corpus
from scaling_jax.study import IsoFlop, Store, Study, run_study
from scaling_jax.study.execution.job import Job
from scaling_jax.study.store import lock
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.system.files import as_path

# The lease of a killed process ends soon enough for a test.
lock.LEASE_SECONDS, lock.SETTLE_SECONDS = 5.0, 0.0


def whole_checkpoints(root):
    runs = as_path(root) / "small" / "runs"
    return list(runs.glob("*/checkpoints/*/commit_success.txt"))


def die_after_a_checkpoint(root):
    while not whole_checkpoints(root):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def documents(folder):
    """The documents of a folder with two files, one of them compressed."""
    plain, packed = (json.dumps({"text": text}) + "\n" for text in ("one", "two"))
    (folder / "a.jsonl").write_bytes(plain.encode())
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(packed.encode()))
    (folder / "c.txt").write_bytes(b"three\n\nfour\n")
    corpora = [f"jsonl:{folder}", f"jsonl:{folder}/*.jsonl", f"text:{folder}"]
    loaded = [load_corpus(corpus) for corpus in corpora]
    return [list(each.documents()) for each in loaded]


def found(root, page):
    saved = sorted(int(path.parent.name) for path in whole_checkpoints(root))
    while any(lock.is_held(run.directory) for run in Store.open(f"{root}/small").runs()):
        time.sleep(1)
    store = run_study(study, root, job)
    sj.report(f"{root}/small", page)
    return {
        "saved": saved,
        "losses": losses(store),
        "documents": documents(as_path(f"{root}/corpus")),
        "rows": len(sj.collect(f"{root}/small")),
        "events": len(list(store.runs()[0].directory.glob("tensorboard/*"))),
        "tokens": [path.name for path in as_path(f"{root}/tokens").glob("*/*/*")],
        "local": [path.name for path in Path(os.environ["SCALING_JAX_CACHE"]).iterdir()],
        "left": [path.name for path in store.runs()[0].directory.iterdir()],
    }


if __name__ == "__main__":
    study = Study("small", RECIPE, IsoFlop((2e9,), (SIZES[:1],)))
    tokens = f"{sys.argv[1]}/tokens?memory=2e6"
    job = Job(workers=1, supervision=Supervision(checkpoint_seconds=0.3), cache_dir=tokens)
    if sys.argv[2] == "killed":
        threading.Thread(target=die_after_a_checkpoint, args=sys.argv[1:2], daemon=True).start()
        run_study(study, sys.argv[1], job)
    else:
        print(json.dumps(found(sys.argv[1], sys.argv[3])))
