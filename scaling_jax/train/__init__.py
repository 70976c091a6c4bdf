"""Training one run: mesh, step, checkpoints, evaluation, loop."""

from scaling_jax.train.compilation import use_compilation_cache as use_compilation_cache
from scaling_jax.train.inputs import check_same_text as check_same_text
from scaling_jax.train.inputs import load_inputs as load_inputs
from scaling_jax.train.mesh import check_batch as check_batch
from scaling_jax.train.mesh import make_mesh as make_mesh
from scaling_jax.train.metrics import read_metrics as read_metrics
from scaling_jax.train.preemption import Preempted as Preempted
from scaling_jax.train.preemption import StopRequest as StopRequest
from scaling_jax.train.preemption import stop_request as stop_request
from scaling_jax.train.progress import Report as Report
from scaling_jax.train.result import Result as Result
from scaling_jax.train.result import read_result as read_result
from scaling_jax.train.run import train_run as train_run
