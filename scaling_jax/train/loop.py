"""The inner loop: dispatch steps, read their metrics late, save now and then."""

import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from scaling_jax import flops
from scaling_jax.config import RunConfig
from scaling_jax.train import mesh as layout
from scaling_jax.train.checkpoint import Checkpoints
from scaling_jax.train.distributed import Agreement
from scaling_jax.train.inputs import Inputs
from scaling_jax.train.metrics import MetricsLog
from scaling_jax.train.preemption import Preempted, StopRequest
from scaling_jax.train.programs import Programs
from scaling_jax.train.progress import Report
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import State, StepMetrics
from scaling_jax.train.timing import Stopwatch

# What a process may wish for between two dispatches, and all then do at the same step.
SAVE, STOP = 1, 2


@dataclass(frozen=True)
class Tools:
    """What the loop writes to and listens to."""

    checkpoints: Checkpoints
    metrics: MetricsLog
    report: Report
    stop: StopRequest
    watch: Stopwatch
    checkpoint_seconds: float
    peak_flops_per_second: float | None


class Loop:
    """Advances one run; `state` and `step` say how far it is, `healthy` whether it diverged."""

    def __init__(
        self, config: RunConfig, mesh: Mesh, programs: Programs, inputs: Inputs, tools: Tools
    ) -> None:
        self._config, self._mesh, self._programs = config, mesh, programs
        self._inputs, self._tools = inputs, tools
        whole = layout.replicated(mesh)
        self._horizon = jax.tree.map(lambda x: jax.device_put(x, whole), Horizon.of(config))
        tokens = config.tokens_per_step
        self._step_flops = flops.training_flops(config.shape, tokens, "exact")
        self._rows = layout.local_rows(mesh, config.batch_size)
        self._agreed = Agreement()
        self._saved_at = self._read_at = time.perf_counter()
        self.state: State = {}
        self.step = self._start = 0
        self.healthy = True

    def restore(self, step: int | None) -> None:
        """Load the checkpoint of `step`, or initialize a new run."""
        if step is None:
            key = jax.random.key(self._config.seed)
            self.state = self._programs.init(key)
        else:
            self.state = self._tools.checkpoints.load(step, self._programs.abstract_state)
            self.step = self._start = step

    @property
    def tokens_trained(self) -> int:
        """Tokens this process has trained on."""
        return (self.step - self._start) * self._config.tokens_per_step

    def run(self) -> None:
        """Train to the last step, or to the first non-finite loss.

        Raises:
            Preempted: a signal asked to stop; the state is saved.
        """
        pending: tuple[int, StepMetrics] | None = None
        self._read_at = time.perf_counter()
        while self.healthy and self.step < self._config.steps:
            dispatched = self._dispatch()
            # Reading the previous dispatch while this one runs keeps the device busy.
            if pending:
                self._read(*pending)
            pending = dispatched
            if wish := self._agreed(self._wish()):
                self._read(*pending)
                pending = None
                self._save_or_stop(stop=wish == STOP)
        # After a non-finite loss the dispatch still pending trained on a ruined state.
        if pending and self.healthy:
            self._read(*pending)
        if self.healthy:
            self.save()

    def save(self) -> None:
        """Checkpoint the state, with every metric up to it on disk first."""
        with self._tools.watch.part("checkpoint"):
            self._tools.metrics.flush()
            self._tools.checkpoints.save(self.step, self.state)
        self._saved_at = time.perf_counter()

    def _dispatch(self) -> tuple[int, StepMetrics]:
        count = min(self._programs.steps_per_dispatch, self._config.steps - self.step)
        with self._tools.watch.part("input"):
            tokens_KxBxT1 = self._batch(count)
        first = self.step
        self.state, metrics = self._programs.train(
            self.state, tokens_KxBxT1, self._scalar(count), self._horizon
        )
        self.step += count
        if self._mesh.size > 1 and self._mesh.devices.flat[0].platform == "cpu":
            # Virtual CPU devices can deadlock with several collective programs in flight.
            jax.block_until_ready(metrics)
        return first, metrics

    def _batch(self, count: int) -> jax.Array:
        tokens_KxBxT1 = self._inputs.batches.batches(self.step, count, self._rows)
        # The program's batches past `count` are not looked at.
        missing = self._programs.steps_per_dispatch - count
        tokens_KxBxT1 = np.pad(tokens_KxBxT1, ((0, missing), (0, 0), (0, 0)), mode="edge")
        return layout.put_batches(tokens_KxBxT1, self._mesh, self._config.batch_size)

    def _scalar(self, value: int) -> jax.Array:
        return jax.device_put(jnp.int32(value), layout.replicated(self._mesh))

    def _read(self, first: int, metrics: StepMetrics) -> None:
        losses, lrs, norms = (np.asarray(values, np.float64) for values in metrics)
        count = min(len(losses), self._config.steps - first)
        bad = ~(np.isfinite(losses[:count]) & np.isfinite(norms[:count]))
        if bad.any():
            count = int(bad.argmax()) + 1
            self.healthy, self.step = False, first + count
        now = time.perf_counter()
        speed = count / (now - self._read_at)
        self._read_at = now
        with self._tools.watch.part("metrics"):
            curves = zip(losses[:count], lrs, norms, strict=False)
            rows = [self._row(first + i + 1, *values, speed) for i, values in enumerate(curves)]
            self._tools.metrics.add(rows)
            self._tools.report(first + count, losses[count - 1], rows[-1]["tokens_per_second"])

    def _row(self, step: int, loss: float, lr: float, norm: float, speed: float) -> dict[str, Any]:
        achieved = speed * self._step_flops
        peak = self._tools.peak_flops_per_second
        return {
            "step": step,
            "tokens": step * self._config.tokens_per_step,
            "loss": float(loss),
            "lr": float(lr),
            "grad_norm": float(norm),
            "tokens_per_second": round(speed * self._config.tokens_per_step, 1),
            "flops_per_second": float(f"{achieved:.4g}"),
            "mfu": round(achieved / peak, 4) if peak else None,
        }

    def _wish(self) -> int:
        if self._tools.stop.signum is not None:
            return STOP
        return SAVE if time.perf_counter() - self._saved_at > self._tools.checkpoint_seconds else 0

    def _save_or_stop(self, stop: bool) -> None:
        if not self.healthy:
            return
        self.save()
        if stop:
            with self._tools.watch.part("checkpoint"):
                self._tools.checkpoints.wait()
            signum = self._tools.stop.signum
            cause = f"by signal {signum}" if signum else "with another of its processes"
            raise Preempted(
                f"stopped {cause} at step {self.step} of {self._config.steps}; saved, run the same "
                "command to continue"
            )
