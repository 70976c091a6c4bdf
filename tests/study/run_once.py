"""Run the small study under argv[1] with two workers, as a process that can be killed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_studies import small_study

from scaling_jax.study import run_study
from scaling_jax.system.preemption import Preempted

if __name__ == "__main__":
    try:
        run_study(small_study(), sys.argv[1], workers=2)
    except Preempted as stop:
        print(stop)
        sys.exit(75)
