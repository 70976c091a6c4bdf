"""The memory that the TPU compiler lays out for a training step, before it makes machine code.

The compiler writes a report of its buffers among the dumps of `xla_dump_to`. The report is there
after a few seconds; machine code takes minutes more on two cores, and `laid_out_bytes` does not
wait for it.
"""

import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from scaling_jax.aot.launch import environment
from scaling_jax.aot.many import Request, key_of
from scaling_jax.errors import InputError
from scaling_jax.system.environment import default_cache_dir

_SECONDS = 0.5
_TOTAL = re.compile(r"Memory Space: default \(color=0\)\nTotal bytes: (\d+)")
_LAST_CHARACTERS = 300


def laid_out_bytes(request: Request) -> int | str:
    """Bytes of memory of one device, or the compiler's reason why there are none.

    The bytes are stored in the cache directory, and found there again.
    """
    stored = default_cache_dir() / "laid_out" / key_of(request)
    if stored.exists():
        return int(stored.read_text())
    with tempfile.TemporaryDirectory() as directory:
        child = subprocess.run(
            [sys.executable, __file__, directory],
            input=pickle.dumps(tuple(request)),
            env=environment() | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
        )
    output = child.stdout.decode(errors="replace").strip()
    if not output.isdigit():
        return (output + child.stderr.decode(errors="replace"))[-_LAST_CHARACTERS:]
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(output)
    return int(output)


def _child(directory: Path) -> None:
    """Compile the request on standard input until the report is there, and print the bytes."""
    from dataclasses import replace

    from scaling_jax.aot import compiler
    from scaling_jax.train.overlap import overlap_options

    config, execution, topology, _ = Request(*pickle.load(sys.stdin.buffer))
    devices = compiler.devices_of(topology)
    mesh = compiler.mesh_for(
        config.shape,
        config.smallest_batch,
        execution.mesh,
        devices,
        accumulate=execution.microbatches,
    )
    resolved = replace(compiler.resolved_on(mesh, execution, config), steps_per_dispatch=1)
    lowered = compiler.lowered(compiler.traced_training(config, mesh, resolved), mesh)
    dumps = {"xla_dump_to": str(directory), "xla_dump_hlo_as_text": True}
    options = overlap_options(topology.platform, mesh.size) | dumps
    threading.Thread(target=_end_with_report, args=(directory,), daemon=True).start()
    lowered.compile(compiler_options=options)
    time.sleep(2 * _SECONDS)
    print("the compiler wrote no report of its memory")


def _end_with_report(directory: Path) -> None:
    while True:
        time.sleep(_SECONDS)
        for path in directory.glob("*memory-usage-report.txt"):
            found = _TOTAL.search(path.read_text())
            if found:
                print(found[1], flush=True)
                os._exit(0)


if __name__ == "__main__":
    try:
        _child(Path(sys.argv[1]))
    except InputError as error:
        print(error)
