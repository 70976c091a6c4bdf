"""The training loop: dispatch steps, read their metrics one dispatch late, save checkpoints."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from scaling_jax.accounting import flops
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.system.agreement import Agreement
from scaling_jax.system.preemption import Preempted, StopRequest
from scaling_jax.train import mesh as layout
from scaling_jax.train.held_out import HeldOutSets
from scaling_jax.train.noise_scale import NoiseMeasurement
from scaling_jax.train.programs import Programs
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import State, StepMetrics, weights_of
from scaling_jax.train.task_sets import TaskSets
from scaling_jax.train.track import Track

# Requests of a process between two dispatches, which all processes then meet at the same step.
SAVE, STOP = 1, 2


@dataclass(frozen=True)
class Tools:
    """What the loop needs besides its runs: the request to stop, timing, and the peak FLOP/s.

    `noise` measures the gradient noise; None for runs that do not measure it.
    """

    stop: StopRequest
    watch: Stopwatch
    checkpoint_seconds: float
    peak_flops_per_second: float | None
    noise: NoiseMeasurement | None = None


@dataclass(frozen=True)
class _Dispatch:
    """Steps that were dispatched: first step and number of steps of each run, and their metrics.

    `ended_at` is None unless the loop waited for the steps.
    """

    firsts: list[int]
    counts: list[int]
    metrics: StepMetrics
    begun_at: float
    ended_at: float | None


class Loop:
    """Trains runs that share a program, each to its last step or to a non-finite loss."""

    def __init__(
        self,
        tracks: Sequence[Track],
        states: Sequence[State],
        mesh: Mesh,
        programs: Programs,
        held_out: HeldOutSets,
        tasks: TaskSets,
        tools: Tools,
    ) -> None:
        self._tracks, self._mesh, self._programs, self._tools = tracks, mesh, programs, tools
        self._held_out, self._tasks = held_out, tasks
        self._state = programs.pack(*states)
        horizons = [Horizon.of(track.config) for track in tracks]
        self._horizon = self._whole(jax.tree.map(lambda *each: self._joined(each), *horizons))
        config = tracks[0].config
        self._batch_size, self._tokens_per_step = config.batch_size, config.tokens_per_step
        self._step_flops = flops.training_flops(config.shape, config.tokens_per_step, "exact")
        self._rows = layout.local_rows(mesh, config.batch_size)
        self._agreed = Agreement()
        self._saved_at = self._ended_at = time.perf_counter()

    def state(self, i: int) -> State:
        """The training state of run `i`."""
        return self._programs.unpack(self._state, i)

    def run(self) -> None:
        """Train until no run has steps left.

        Raises:
            Preempted: a signal asked to stop; the states are saved.
        """
        pending: _Dispatch | None = None
        while self._left():
            dispatched = self._dispatch()
            # The metrics of the previous dispatch are read while this one keeps the device busy.
            if pending:
                self._read(pending)
            pending = dispatched
            # Other tracks may have arrived earlier, and stay where they are.
            moved = [i for i, count in enumerate(dispatched.counts) if count]
            due = [i for i in moved if self._tracks[i].is_at_evaluation]
            noisy = [i for i in moved if self._tracks[i].is_at_measurement]
            request = self._agreed(self._request())
            saves = request or any(track.is_at_kept for track in self._tracks)
            if due or noisy or saves:
                self._read(pending)
                pending = None
                self._evaluate(due)
                self.measure(noisy)
            if saves and self._left():
                self.save()
                self._agreed.forget()
                self._stop(request)
        if pending:
            self._read(pending)
        self.save()

    def save(self) -> None:
        """Write a checkpoint of every healthy run, after its metrics up to there are on disk."""
        with self._tools.watch.part("checkpoint"):
            for i, track in enumerate(self._tracks):
                if track.healthy and not track.checkpoints.has(track.step):
                    track.metrics.flush()
                    track.checkpoints.save(track.step, self.state(i))
        self._saved_at = time.perf_counter()

    def _evaluate(self, due: Sequence[int]) -> None:
        """Add a point to the held-out curves of these runs, but of those that have diverged."""
        with self._tools.watch.part("curve"):
            for i in due:
                track = self._tracks[i]
                if track.healthy:
                    params = weights_of(self.state(i))
                    tokens = track.step * self._tokens_per_step
                    losses = self._held_out.at_point(params, track.config)
                    scores = self._tasks.at_point(params)
                    track.metrics.add_evaluation(track.step, tokens, losses, scores)

    def measure(self, due: Sequence[int]) -> None:
        """Measure the gradient noise of these runs, but of those that have diverged."""
        if self._tools.noise is None:
            return
        with self._tools.watch.part("noise"):
            for i in due:
                track = self._tracks[i]
                if track.healthy:
                    params, batches = self.state(i)["params"], track.inputs.batches
                    found = self._tools.noise(params, batches, track.step)
                    tokens = track.step * self._tokens_per_step
                    track.metrics.add_noise(track.step, tokens, track.config.shape.seq_len, found)

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
            # Virtual CPU devices can deadlock if several programs with collectives run at once.
            jax.block_until_ready(metrics)
            ended_at = time.perf_counter()
        return _Dispatch(firsts, counts, metrics, begun_at, ended_at)

    def _batches(self, track: Track, count: int) -> np.ndarray:
        # The program ignores batches beyond `count`.
        n = max(count, 1)
        tokens_KxBxT1 = track.inputs.batches.batches(track.step, n, self._rows)
        missing = self._programs.steps_per_dispatch - n
        return np.pad(tokens_KxBxT1, ((0, missing), (0, 0), (0, 0)), mode="edge")

    def _joined(self, values: Any, axis: int = 0) -> Any:
        """The values of all runs stacked along an axis; a single run's program has no such axis."""
        return np.stack(values, axis) if len(self._tracks) > 1 else values[0]

    def _whole(self, tree: Any) -> Any:
        return jax.device_put(tree, layout.replicated(self._mesh))

    def _read(self, dispatch: _Dispatch) -> None:
        metrics_3xRxK = np.stack([np.asarray(m, np.float64) for m in dispatch.metrics])
        metrics_RxKx3 = metrics_3xRxK.reshape(3, len(self._tracks), -1).transpose(1, 2, 0)
        ended_at = dispatch.ended_at or time.perf_counter()
        # The previous dispatch may have ended before or after this one was dispatched.
        seconds = ended_at - max(dispatch.begun_at, self._ended_at)
        self._ended_at = ended_at
        with self._tools.watch.part("metrics"):
            for track, first, count, metrics_Kx3 in zip(
                self._tracks, dispatch.firsts, dispatch.counts, metrics_RxKx3, strict=True
            ):
                # Steps that were dispatched after a non-finite loss trained on a useless state.
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

    def _request(self) -> int:
        if self._tools.stop.signum is not None:
            return STOP
        return SAVE if time.perf_counter() - self._saved_at > self._tools.checkpoint_seconds else 0

    def _stop(self, request: int) -> None:
        if request != STOP:
            return
        with self._tools.watch.part("checkpoint"):
            for track in self._tracks:
                track.checkpoints.wait()
        signum = self._tools.stop.signum
        cause = f"by signal {signum}" if signum else "because another process was stopped"
        least = min(self._tracks, key=lambda track: track.step)
        raise Preempted(
            f"stopped {cause} at step {least.step} of {least.config.steps}; saved, run the same "
            "command to continue"
        )
