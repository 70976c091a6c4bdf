"""Train argv[1] into argv[2] as process argv[4] of argv[5] that meet at port argv[3].

Process 1 is sent SIGTERM at step argv[6], where there is one.
"""

import os
import signal
import sys
from pathlib import Path

from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.processes.connection import Processes
from scaling_jax.processes.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, train_run


def main(config, directory, port, process_id, num_processes, stop_at):
    i, n = int(process_id), int(num_processes)
    Processes(f"127.0.0.1:{port}", n, i, wait=60).connect()

    def report(step, *_):
        if i == 1 and int(stop_at) and step >= int(stop_at):
            os.kill(os.getpid(), signal.SIGTERM)

    execution = Execution(steps_per_dispatch=4, mesh=MeshSpec(fsdp=2))
    config = RunConfig.from_json(Path(config).read_text())
    try:
        train_run(config, directory, execution=execution, progress=False, report=report)
    except Preempted as stop:
        print(stop)
        sys.exit(75)
    except InputError as error:
        print(error)
        sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
