"""Train the configuration in argv[1] into argv[2], as a process that can be killed."""

import sys
from pathlib import Path

from scaling_jax.config import RunConfig
from scaling_jax.system.compilation import use_compilation_cache
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import train_run

if __name__ == "__main__":
    use_compilation_cache()
    config = RunConfig.from_json(Path(sys.argv[1]).read_text())
    try:
        train_run(config, sys.argv[2], cache_dir=sys.argv[3], checkpoint_seconds=0.1)
    except Preempted as stop:
        print(stop)
        sys.exit(75)
