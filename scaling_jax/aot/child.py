"""The child process that compiles: it reads a request from standard input and writes a file."""

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

from scaling_jax.errors import InputError

_WATCH_SECONDS = 1.0


def main(answer: Path) -> None:
    """Compile the request, and pickle a `Report` or an `InputError` to the file `answer`."""
    # An interrupted parent interrupts its children; the compiler would not notice for minutes.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    request = pickle.load(sys.stdin.buffer)
    from scaling_jax.aot.compiler import compile_here

    try:
        found: object = compile_here(*request)
    except InputError as error:
        found = error
    answer.write_bytes(pickle.dumps(found))


def _end_with(parent: int) -> None:
    """End this process once its parent has ended, because nobody would read the answer."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
