"""The child process that compiles: it reads a request from standard input and writes a file."""

import pickle
import sys
from pathlib import Path

from scaling_jax.errors import InputError


def main(answer: Path) -> None:
    """Compile the request, and pickle a `Report` or an `InputError` to the file `answer`."""
    config, execution, topology = pickle.load(sys.stdin.buffer)
    from scaling_jax.aot.compiler import compile_here

    try:
        found: object = compile_here(config, execution, topology)
    except InputError as error:
        found = error
    answer.write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
