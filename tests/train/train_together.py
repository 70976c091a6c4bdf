"""Train argv[1] into argv[2] as process argv[4] of argv[5] that meet at port argv[3].

Several runs, separated by commas, are trained side by side, each into a directory in argv[2].
Process 1 is sent SIGTERM at step argv[6], where there is one. $DATA_CACHE says where tokens are
kept. With $LARGEST_FILE, no file of more bytes can be written, and the bytes that were read of the
tokens are printed.
"""

import os
import resource
import signal
import sys
from pathlib import Path

from scaling_jax.config import RunConfig
from scaling_jax.data.streamed import byte_ranges
from scaling_jax.errors import InputError
from scaling_jax.system.connection import Processes
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, train_replicas

MEMORY = 2**20


def main(configs, directory, port, process_id, num_processes, stop_at):
    i, n = int(process_id), int(num_processes)
    if largest := os.environ.get("LARGEST_FILE"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
    Processes(f"127.0.0.1:{port}", n, i, wait=60).connect()

    def report(step, *_):
        if i == 1 and int(stop_at) and step >= int(stop_at):
            os.kill(os.getpid(), signal.SIGTERM)

    runs = [RunConfig.from_json(Path(config).read_text()) for config in configs.split(",")]
    several = len(runs) > 1
    mesh = MeshSpec(replica=len(runs)) if several else MeshSpec(fsdp=2)
    directories = [Path(directory, str(k)) for k in range(len(runs))] if several else [directory]
    options = dict(execution=Execution(steps_per_dispatch=4, mesh=mesh), progress=False)
    options["cache_dir"] = os.environ.get("DATA_CACHE")
    try:
        train_replicas(runs, directories, reports=[report] + [None] * (len(runs) - 1), **options)
        if largest:
            print("read", byte_ranges(MEMORY).bytes_read)
    except Preempted as stop:
        print(stop)
        sys.exit(75)
    except InputError as error:
        print(error)
        sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
