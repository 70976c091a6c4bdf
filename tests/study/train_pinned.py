"""Train the stored run argv[1] into argv[2] in a process of its own."""

import sys

from etils import epath

from scaling_jax.study.store.stored_run import read_run
from scaling_jax.system.compilation import use_compilation_cache
from scaling_jax.train import train_run

if __name__ == "__main__":
    use_compilation_cache()
    run = read_run(epath.Path(sys.argv[1]))
    train_run(run.planned.config, sys.argv[2], progress=False)
