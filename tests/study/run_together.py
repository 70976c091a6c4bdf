"""Train two short runs of one shape in argv[1] as process argv[3] of argv[4], by port argv[2].

The devices' memory runs out at the first attempt.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_studies import RECIPE

from scaling_jax.study import FixedModels, Study, run_study
from scaling_jax.study.execution import attempt
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.system.connection import Processes

SHORT = Study("short", RECIPE, FixedModels(params=(5e3,), tokens_per_param=(0.5, 1.0)))


def main(root, port, process_id, num_processes):
    Processes(f"127.0.0.1:{port}", int(num_processes), int(process_id), wait=60).connect()
    attempt.train_run = exhausted_once(attempt.train_run)
    run_study(SHORT, root, progress=False, supervision=Supervision(retry_wait=0))


def exhausted_once(train_run):
    problems = [RuntimeError("RESOURCE_EXHAUSTED: out of memory")]

    def train(*args, **options):
        if problems:
            raise problems.pop()
        return train_run(*args, **options)

    return train


if __name__ == "__main__":
    main(*sys.argv[1:])
