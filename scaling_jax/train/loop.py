"""The inner loop: dispatch steps, read their metrics late, save now and then."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig
from scaling_jax.runs.metrics import MetricsLog
from scaling_jax.runs.progress import Report
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.system.agreement import Agreement
from scaling_jax.system.preemption import Preempted, StopRequest
from scaling_jax.train import mesh as layout
from scaling_jax.train.checkpoint import Checkpoints
from scaling_jax.train.inputs import Inputs
from scaling_jax.train.programs import Programs
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import State, StepMetrics

# What a process may wish for between two dispatches, and all then do at the same step.
SAVE, STOP = 1, 2


@dataclass
class Track:
    """One run under way: how far it is, whether it is well, and where it leaves its traces."""

    config: RunConfig
    inputs: Inputs
    checkpoints: Checkpoints
    metrics: MetricsLog
    report: Report
    step: int
    kept: frozenset[int] = frozenset()
    healthy: bool = True
    tokens_trained: int = 0
    seconds_trained: float = 0.0

    @property
    def left(self) -> int:
        """Steps it has yet to take; none after a non-finite loss."""
        return self.config.steps - self.step if self.healthy else 0

    @property
    def ahead(self) -> int:
        """Steps it may take before its next checkpoint that is kept, or its end."""
        kept = min((step for step in self.kept if step > self.step), default=self.config.steps)
        return min(self.left, kept - self.step)

    @property
    def is_at_kept(self) -> bool:
        """Whether it stands at a step whose checkpoint is kept."""
        return self.healthy and self.step in self.kept


@dataclass(frozen=True)
class Tools:
    """What the loop listens to and keeps time by."""

    stop: StopRequest
    watch: Stopwatch
    checkpoint_seconds: float
    peak_flops_per_second: float | None


@dataclass(frozen=True)
class _Dispatch:
    """Steps under way: the first and the number of each run's, and their metrics to come.

    When they were begun, and when they ended if that was waited for.
    """

    firsts: list[int]
    counts: list[int]
    metrics: StepMetrics
    begun_at: float
    ended_at: float | None


class Loop:
    """Advances runs of one program, each to its own last step or non-finite loss."""

    def __init__(
        self,
        tracks: Sequence[Track],
        states: Sequence[State],
        mesh: Mesh,
        programs: Programs,
        tools: Tools,
    ) -> None:
        self._tracks, self._mesh, self._programs, self._tools = tracks, mesh, programs, tools
        self._state = programs.pack(*states)
        horizons = [Horizon.of(track.config) for track in tracks]
        self._horizon = self._whole(Horizon(*map(self._joined, zip(*horizons, strict=True))))
        config = tracks[0].config
        self._batch_size, self._tokens_per_step = config.batch_size, config.tokens_per_step
        self._step_flops = flops.training_flops(config.shape, config.tokens_per_step, "exact")
        self._rows = layout.local_rows(mesh, config.batch_size)
        self._agreed = Agreement()
        self._saved_at = self._ended_at = time.perf_counter()

    def state(self, i: int) -> State:
        """The state of the run `i`."""
        return self._programs.unpack(self._state, i)

    def run(self) -> None:
        """Train until no run has steps left.

        Raises:
            Preempted: a signal asked to stop; the states are saved.
        """
        pending: _Dispatch | None = None
        while self._left():
            dispatched = self._dispatch()
            # Reading the previous dispatch while this one runs keeps the device busy.
            if pending:
                self._read(pending)
            pending = dispatched
            wish = self._agreed(self._wish())
            if wish or any(track.is_at_kept for track in self._tracks):
                self._read(pending)
                pending = None
                if self._left():
                    self.save()
                    self._agreed.forget()
                    self._stop(wish)
        if pending:
            self._read(pending)
        self.save()

    def save(self) -> None:
        """Checkpoint the runs that are well, with every metric up to there on disk first."""
        with self._tools.watch.part("checkpoint"):
            for i, track in enumerate(self._tracks):
                if track.healthy and not track.checkpoints.has(track.step):
                    track.metrics.flush()
                    track.checkpoints.save(track.step, self.state(i))
        self._saved_at = time.perf_counter()

    def _left(self) -> int:
        return max(track.left for track in self._tracks)

    def _dispatch(self) -> _Dispatch:
        firsts = [track.step for track in self._tracks]
        counts = [min(self._programs.steps_per_dispatch, track.ahead) for track in self._tracks]
        with self._tools.watch.part("input"):
            batches = [self._batches(*each) for each in zip(self._tracks, counts, strict=True)]
            tokens = layout.put_batches(self._joined(batches, 1), self._mesh, self._batch_size)
        n_steps = self._whole(self._joined(np.array(counts, np.int32)))
        begun_at, ended_at = time.perf_counter(), None
        self._state, metrics = self._programs.train(self._state, tokens, n_steps, self._horizon)
        for track, count in zip(self._tracks, counts, strict=True):
            track.step += count
        if self._mesh.size > 1 and self._mesh.devices.flat[0].platform == "cpu":
            # Virtual CPU devices can deadlock with several collective programs in flight.
            jax.block_until_ready(metrics)
            ended_at = time.perf_counter()
        return _Dispatch(firsts, counts, metrics, begun_at, ended_at)

    def _batches(self, track: Track, count: int) -> np.ndarray:
        # The program does not look at the batches past `count`.
        n = max(count, 1)
        tokens_KxBxT1 = track.inputs.batches.batches(track.step, n, self._rows)
        missing = self._programs.steps_per_dispatch - n
        return np.pad(tokens_KxBxT1, ((0, missing), (0, 0), (0, 0)), mode="edge")

    def _joined(self, values: Any, axis: int = 0) -> Any:
        """Values of all runs along an axis, which the program of a single run lacks."""
        return np.stack(values, axis) if len(self._tracks) > 1 else values[0]

    def _whole(self, tree: Any) -> Any:
        return jax.device_put(tree, layout.replicated(self._mesh))

    def _read(self, dispatch: _Dispatch) -> None:
        metrics_3xRxK = np.stack([np.asarray(m, np.float64) for m in dispatch.metrics])
        metrics_RxKx3 = metrics_3xRxK.reshape(3, len(self._tracks), -1).transpose(1, 2, 0)
        ended_at = dispatch.ended_at or time.perf_counter()
        # Those before it were still under way when it was dispatched, or long over.
        seconds = ended_at - max(dispatch.begun_at, self._ended_at)
        self._ended_at = ended_at
        with self._tools.watch.part("metrics"):
            for track, first, count, metrics_Kx3 in zip(
                self._tracks, dispatch.firsts, dispatch.counts, metrics_RxKx3, strict=True
            ):
                # After a non-finite loss what was still under way trained on a ruined state.
                if count and track.healthy:
                    self._record(track, first, metrics_Kx3[:count], seconds)

    def _record(self, track: Track, first: int, metrics_Kx3: np.ndarray, seconds: float) -> None:
        bad = ~np.isfinite(metrics_Kx3[:, [0, 2]]).all(axis=1)
        if bad.any():
            metrics_Kx3 = metrics_Kx3[: int(bad.argmax()) + 1]
            track.healthy, track.step = False, first + len(metrics_Kx3)
        track.tokens_trained += len(metrics_Kx3) * self._tokens_per_step
        track.seconds_trained += seconds
        speed = len(metrics_Kx3) / seconds
        rows = [self._row(first + i, values, speed) for i, values in enumerate(metrics_Kx3, 1)]
        track.metrics.add(rows)
        track.report(rows[-1]["step"], rows[-1]["loss"], rows[-1]["tokens_per_second"])

    def _row(self, step: int, metrics_3: np.ndarray, speed: float) -> dict[str, Any]:
        loss, lr, norm = map(float, metrics_3)
        achieved = speed * self._step_flops
        peak = self._tools.peak_flops_per_second
        return {
            "step": step,
            "tokens": step * self._tokens_per_step,
            "loss": loss,
            "lr": lr,
            "grad_norm": norm,
            "tokens_per_second": round(speed * self._tokens_per_step, 1),
            "flops_per_second": float(f"{achieved:.4g}"),
            "mfu": round(achieved / peak, 4) if peak else None,
        }

    def _wish(self) -> int:
        if self._tools.stop.signum is not None:
            return STOP
        return SAVE if time.perf_counter() - self._saved_at > self._tools.checkpoint_seconds else 0

    def _stop(self, wish: int) -> None:
        if wish != STOP:
            return
        with self._tools.watch.part("checkpoint"):
            for track in self._tracks:
                track.checkpoints.wait()
        signum = self._tools.stop.signum
        cause = f"by signal {signum}" if signum else "with another of its processes"
        least = min(self._tracks, key=lambda track: track.step)
        raise Preempted(
            f"stopped {cause} at step {least.step} of {least.config.steps}; saved, run the same "
            "command to continue"
        )
