"""Train two short runs of one shape in argv[1] as process argv[3] of argv[4], by port argv[2]."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_studies import RECIPE

from scaling_jax.study import FixedModels, Study, run_study
from scaling_jax.system.connection import Processes

SHORT = Study("short", RECIPE, FixedModels(params=(5e3,), tokens_per_param=(0.5, 1.0)))


def main(root, port, process_id, num_processes):
    Processes(f"127.0.0.1:{port}", int(num_processes), int(process_id), wait=60).connect()
    run_study(SHORT, root, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
