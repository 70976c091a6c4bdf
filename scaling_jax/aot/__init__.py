"""Training steps compiled for chips that are not here."""

from scaling_jax.aot.launch import CompilerFailed as CompilerFailed
from scaling_jax.aot.launch import compile_run as compile_run
from scaling_jax.aot.report import Report as Report
from scaling_jax.aot.topology import Topology as Topology
