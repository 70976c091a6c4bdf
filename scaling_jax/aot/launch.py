"""Compilation in a child process that uses no accelerator of this machine."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling_jax.aot.estimate import what_would_fit
from scaling_jax.aot.report import Report
from scaling_jax.aot.targets import check_installed
from scaling_jax.aot.topology import Topology
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, chosen_execution, estimated_memory

_LAST_LINES = 5


class CompilerFailed(RuntimeError):  # noqa: N818 - an outcome, which it names
    """The compiler failed for another reason than a program that is too large."""


def compile_run(
    config: RunConfig, execution: Execution, topology: Topology, *, step_alone: bool = False
) -> Report:
    """Compile the programs of `config` for `topology`, or its step alone.

    Large models take minutes. The report has no advice: `advised` gives it.

    Raises:
        InputError: the run does not divide over the chips, or the compiler is not installed.
        CompilerFailed: the compiler failed or was killed.
    """
    check_installed(topology)
    with tempfile.TemporaryDirectory() as directory:
        answer, errors = Path(directory, "answer"), Path(directory, "errors")
        request = pickle.dumps((config, execution, topology, step_alone))
        with errors.open("wb") as stream:
            code = subprocess.run(
                [sys.executable, "-m", "scaling_jax.aot.child", answer],
                input=request,
                env=environment(),
                stdout=stream,
                stderr=stream,
            ).returncode
        if not answer.exists():
            raise CompilerFailed(_reason(code, errors.read_text(errors="replace"), topology))
        found: Any = pickle.loads(answer.read_bytes())
    if isinstance(found, InputError):
        raise found
    return found


def advised(report: Report, config: RunConfig, execution: Execution, topology: Topology) -> Report:
    """`report` with advice if a program does not fit."""
    if report.fits:
        return report
    share = _share_by_estimate(config, execution, topology, report.largest.memory.needed)
    return replace(report, advice=what_would_fit(config, execution, topology, share))


def _share_by_estimate(
    config: RunConfig, execution: Execution, topology: Topology, needed: int
) -> float:
    """The estimated memory as a share of the `needed` one, at most 1."""
    chips = Chips(topology.chip, topology.n_chips)
    device = estimated_memory(config, chosen_execution(config, execution, chips), chips)
    estimated = device.total * chips.chip.jax_devices
    return min(1.0, estimated / needed) if needed else 1.0


def environment() -> dict[str, str]:
    """This process's environment, with the CPU as JAX's only platform.

    The TPU variables stop libtpu from querying the network for the kind of machine and from
    writing logs. They do not affect what it compiles.
    """
    kept = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    return kept | {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": "v5litepod-4",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_LOG_DIR": "disabled",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
    }


def _reason(code: int, errors: str, topology: Topology) -> str:
    if code == -signal.SIGKILL:
        return (
            f"the compiler for {topology.name} was killed, most likely because this machine's "
            "memory ran out: compile on a larger one, or for fewer chips"
        )
    how = f"by signal {-code}" if code < 0 else f"with code {code}"
    last = "\n".join(errors.strip().splitlines()[-_LAST_LINES:])
    return f"the compiler for {topology.name} ended {how}:\n{last}"
