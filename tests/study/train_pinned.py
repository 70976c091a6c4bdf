"""Train the stored run argv[1] into argv[2] with a single worker's share of the cores."""

import sys

from etils import epath

if __name__ == "__main__":
    from scaling_jax.study.store import read_run
    from scaling_jax.train import train_run

    run = read_run(epath.Path(sys.argv[1]))
    train_run(run.planned.config, sys.argv[2], progress=False)
