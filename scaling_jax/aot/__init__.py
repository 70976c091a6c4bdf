"""Compilation of training steps for chips that this machine does not have.

Belongs here: topologies, their compilers, and what a compiled program shows of its memory and
communication. Does not: training (`train`), and estimates of studies (`study.plan`, `cli`).
"""

from scaling_jax.aot.launch import CompilerFailed as CompilerFailed
from scaling_jax.aot.launch import advised as advised
from scaling_jax.aot.launch import compile_run as compile_run
from scaling_jax.aot.report import Report as Report
from scaling_jax.aot.topology import Topology as Topology
from scaling_jax.api import public_names


def __dir__() -> list[str]:
    return public_names(globals())
