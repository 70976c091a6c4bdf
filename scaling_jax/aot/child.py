"""The process that compiles: a request on standard input, the answer in the file named."""

import pickle
import sys
from pathlib import Path

from scaling_jax.errors import InputError


def main(answer: Path) -> None:
    """Answer one request with a `Report`, or with the `InputError` that it is."""
    config, execution, topology = pickle.load(sys.stdin.buffer)
    from scaling_jax.aot.compiler import compile_here

    try:
        found: object = compile_here(config, execution, topology)
    except InputError as error:
        found = error
    answer.write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
