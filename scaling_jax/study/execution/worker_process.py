"""A worker process: trains the packs of runs it is told to on standard input, one at a time.

Each line it reads is an assignment; the end of the input, also by the parent's death, means
save and exit. Each line it writes is a message to the parent.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from etils import epath

from scaling_jax.config.strict import from_dict
from scaling_jax.errors import InputError
from scaling_jax.study.execution.packs import attempt_pack
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.store import StoredRun, read_run
from scaling_jax.system.compilation import use_compilation_cache
from scaling_jax.system.preemption import Preempted, StopRequest, stop_request
from scaling_jax.train import Execution

REPORT_SECONDS = 0.5

Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Work until the input ends or a signal asks to stop."""
    send = _channel()
    use_compilation_cache()
    assignments: queue.Queue[str] = queue.Queue()
    with stop_request() as stop:
        threading.Thread(target=_listen, args=(assignments, stop), daemon=True).start()
        while (line := assignments.get()) and stop.signum is None:
            _work(json.loads(line), send)


def _channel() -> Send:
    """Messages go where standard output was; what libraries print goes to standard error."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        # Without a parent nobody listens; the end of the input says so where it matters.
        try:
            output.write(json.dumps(message) + "\n")
            output.flush()
        except OSError:
            pass

    return send


def _listen(assignments: queue.Queue[str], stop: StopRequest) -> None:
    for line in sys.stdin:
        assignments.put(line)
    stop.signum = stop.signum or signal.SIGTERM
    assignments.put("")


def _work(assignment: dict[str, Any], send: Send) -> None:
    said: dict[str, float] = {}

    def advanced(run: StoredRun, step: int, loss: float, tokens_per_second: float) -> None:
        if time.monotonic() > said.get(run.run_id, 0.0) + REPORT_SECONDS:
            said[run.run_id] = time.monotonic()
            send({"run": run.run_id, "step": step})

    execution = from_dict(Execution, assignment["execution"])
    supervision = from_dict(Supervision, assignment["supervision"])
    cache_dir = assignment["cache_dir"]
    try:
        pack = [read_run(epath.Path(directory)) for directory in assignment["directories"]]
        for run, outcome in attempt_pack(
            pack,
            execution=execution,
            cache_dir=cache_dir,
            advanced=advanced,
            supervision=supervision,
        ):
            send({"run": run.run_id, "over": outcome.text, "wait": outcome.wait})
    except InputError as error:
        send({"refused": str(error)})
    except Preempted as stop:
        send({"preempted": str(stop)})
