"""A worker process: trains the packs that its standard input assigns, one at a time.

Each line it reads is an assignment; the end of the input, which the parent's death also causes,
means save and exit. Each line it writes is a message to the parent.
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

from scaling_jax.config.strict import from_dict
from scaling_jax.errors import InputError
from scaling_jax.study.execution.attempt import attempt_pack
from scaling_jax.study.execution.job import Job
from scaling_jax.study.store.stored_run import StoredRun, read_run
from scaling_jax.system.compilation import use_compilation_cache
from scaling_jax.system.files import as_path
from scaling_jax.system.preemption import Preempted, StopRequest, stop_request

REPORT_SECONDS = 0.5

Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Train until the input ends or a signal asks to stop."""
    send = _open_messages()
    use_compilation_cache()
    assignments: queue.Queue[str] = queue.Queue()
    with stop_request() as stop:
        threading.Thread(target=_listen, args=(assignments, stop), daemon=True).start()
        while (line := assignments.get()) and stop.signum is None:
            _train(json.loads(line), send)


def _open_messages() -> Send:
    """A function that writes messages to the parent, on what was standard output.

    What libraries print goes to standard error instead.
    """
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        # Without a parent nobody reads them; the end of the input then stops this process.
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


def _train(assignment: dict[str, Any], send: Send) -> None:
    reported_at: dict[str, float] = {}

    def report(run: StoredRun, step: int, loss: float, tokens_per_second: float) -> None:
        if time.monotonic() > reported_at.get(run.run_id, 0.0) + REPORT_SECONDS:
            reported_at[run.run_id] = time.monotonic()
            send({"run": run.run_id, "step": step})

    try:
        pack = [read_run(as_path(directory)) for directory in assignment["directories"]]
        for run, outcome in attempt_pack(pack, from_dict(Job, assignment["job"]), report):
            send({"run": run.run_id, "outcome": outcome})
    except InputError as error:
        send({"refused": str(error)})
    except Preempted as stop:
        send({"preempted": str(stop)})
