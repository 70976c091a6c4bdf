"""How fast batches are read from a cache in a bucket, and what that takes, beside a directory.

    python benchmarks/shared_cache.py --data-cache "gs://bucket/tokens?memory=1e9"

Prints, for a directory and for the bucket, how many windows per second a training loop gets that
pauses for the device between two calls, in a first and in a second pass over the same batches; and
the requests and bytes of each pass.
"""

import argparse
import time

import numpy as np

from scaling_jax.data import Batches, TokenCache, place, prepare
from scaling_jax.data.streamed import byte_ranges


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-cache", required=True, help="a bucket, as for scaling-jax run")
    parser.add_argument("--corpus", default="embedded")
    parser.add_argument("--tokenizer", default="bytes")
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=32, help="windows of a call")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two calls")
    options = parser.parse_args()
    where = place(options.data_cache)
    if not where.is_shared:
        parser.error(f"--data-cache {options.data_cache} is no bucket")
    ranges = byte_ranges(where.memory)
    print("cache      pass  windows/s  waits ms  requests  MB read  MB of windows")
    batches = {}
    for name, directory in (("directory", None), ("bucket", options.data_cache)):
        start = time.perf_counter()
        cache = prepare(options.corpus, options.tokenizer, directory, progress=False)
        print(f"{name}: {cache.n_bytes / 1e6:.1f} MB of tokens in {_seconds(start):.1f} s")
        for number in (1, 2):
            before = ranges.requests, ranges.bytes_read
            batches[name], waited = _read(cache, options)
            n = options.calls * options.batch
            print(
                f"{name:9}  {number:4}  {n / waited:9,.0f}  {1e3 * waited / options.calls:8.1f}  "
                f"{ranges.requests - before[0]:8,}  {(ranges.bytes_read - before[1]) / 1e6:7.1f}  "
                f"{batches[name].nbytes / 2e6:13.1f}"
            )
    assert np.array_equal(batches["directory"], batches["bucket"])


def _read(cache: TokenCache, options: argparse.Namespace) -> tuple[np.ndarray, float]:
    """All batches, and the seconds that a loop waits for them."""
    batches = Batches(cache.train, options.seq_len, options.batch, seed=0, repeat=True)
    read, waited = [], 0.0
    for step in range(options.calls):
        start = time.perf_counter()
        read.append(batches.batch(step))
        waited += _seconds(start)
        time.sleep(options.pause)
    return np.stack(read), waited


def _seconds(start: float) -> float:
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
