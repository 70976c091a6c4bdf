"""Compilation of many runs in parallel processes, each result stored so that it is found again."""

import hashlib
import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from scaling_jax.aot.launch import CompilerFailed, advised, compile_run
from scaling_jax.aot.report import Report
from scaling_jax.aot.topology import Topology
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.system.cores import usable_cores
from scaling_jax.system.environment import default_cache_dir
from scaling_jax.system.files import as_path, write_bytes_atomically

# Memory that is allowed for one compiling process. At 1.6 billion parameters one took 0.9 GiB.
COMPILER_BYTES = 5 * 2**30

# What a compiled program and its report depend on, beside the request.
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "libtpu", "jax-cuda12-pjrt", "nvidia-cudnn-cu12")
_SOURCES = (
    *("aot", "architectures", "config", "model", "train"),
    *("accounting/flops.py", "accounting/hardware.py"),
    *("execution.py", "mesh_spec.py", "scales.py"),
)


class Request(NamedTuple):
    """A run to compile on chips, with nothing left to choose in `execution`, or its step alone."""

    config: RunConfig
    execution: Execution
    topology: Topology
    step_alone: bool = False


class Outcome(NamedTuple):
    """What came of a request.

    Attributes:
        request: its position among the requests.
        found: the report, or why there is none.
        stored: whether the report was found instead of made.
    """

    request: int
    found: Report | CompilerFailed | InputError
    stored: bool


def parallel_compilers(available_bytes: int | None = None) -> int:
    """How many compilers this machine's cores and free memory suffice for; at least one."""
    free = _free_bytes() if available_bytes is None else available_bytes
    return max(1, min(usable_cores(), free // COMPILER_BYTES))


def compile_many(
    requests: Sequence[Request], jobs: int, directory: Path | None = None
) -> Iterator[Outcome]:
    """Compile `requests` in `jobs` processes at a time, and yield each outcome once it is known.

    Reports are stored in `directory`, by default `compiled` in the cache directory, and found there
    again, also after an interruption. A failure is an outcome too; a compiler that fails while
    others run is started again once it is alone, because most such failures are for lack of memory.
    """
    directory = directory or default_cache_dir() / "compiled"
    left = []
    for i, request in enumerate(requests):
        report = _stored(directory / key_of(request))
        if report is None:
            left.append(i)
        else:
            yield Outcome(i, advised(report, *request[:3]), stored=True)
    again = []
    for i, found in _in_parallel(requests, left, jobs, directory):
        if isinstance(found, CompilerFailed) and jobs > 1:
            again.append(i)
        else:
            yield Outcome(i, found, stored=False)
    for i in again:
        yield Outcome(i, _compiled(requests[i], directory), stored=False)


def _in_parallel(
    requests: Sequence[Request], chosen: Sequence[int], jobs: int, directory: Path
) -> Iterator[tuple[int, Report | CompilerFailed | InputError]]:
    stopped = threading.Event()
    pool = ThreadPoolExecutor(max_workers=jobs)

    def compiled(request: Request) -> Report | CompilerFailed | InputError:
        return CompilerFailed("not started") if stopped.is_set() else _compiled(request, directory)

    try:
        futures: dict[Future, int] = {pool.submit(compiled, requests[i]): i for i in chosen}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _compiled(request: Request, directory: Path) -> Report | CompilerFailed | InputError:
    try:
        config, execution, topology, step_alone = request
        report = compile_run(config, execution, topology, step_alone=step_alone)
    except (CompilerFailed, InputError) as problem:
        return problem
    with suppress(OSError):  # A full disk costs the next call its time, not this one its result.
        directory.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(as_path(directory / key_of(request)), pickle.dumps(report))
    return advised(report, config, execution, topology)


def _stored(path: Path) -> Report | None:
    try:
        found = pickle.loads(path.read_bytes())
    except Exception:  # Missing, or damaged in any way: it is compiled again.
        return None
    return found if isinstance(found, Report) else None


def key_of(request: Request) -> str:
    """Name of a request's report: a hash of the request, the versions and the package's source.

    Options of XLA that the user has set are a part of it.
    """
    options = [os.environ.get(name, "") for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")]
    parts = (
        request.config.to_json(),
        repr((request.execution, request.step_alone)),
        request.topology.name,
        repr(_versions()),
        _source(),
        *options,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@cache
def _source() -> str:
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for name in _SOURCES:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _free_bytes() -> int:
    """Memory that processes of this machine can take without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":") for line in lines)
        return 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
