"""Fits of the 240 points of Hoffmann et al. 2022 beside SciPy: the same objective and optima.

    python benchmarks/fit.py

SciPy's L-BFGS-B has analytic gradients and one thread. Both minimize Huber's loss of the log loss,
summed. Every line prints seconds of wall-clock time and of processor time (all threads), and the
ratio of SciPy's time to ours for both. SciPy fits a subset of the resamples, and its time is scaled
up.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import HUBER_DELTA, objective_named
from scaling_jax.laws.solver.optimum import PointFit, optimum, refit
from scaling_jax.laws.tables.read import read_table
from scaling_jax.laws.tables.select import usable_rows

# Read when NumPy is loaded, so the program starts itself again with them.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

DATA = Path(__file__).parents[1] / "tests" / "laws" / "data" / "chinchilla_240.csv"
OPTIMUM = 0.00101827401778
SAME = 1e-6  # relative: objectives this close are the same optimum
TARGETS = {"4500 starts": 40, "point fit": 1000, "4000 resamples": 15}
COLD_TARGETS = {"cold": 6.0, "cold, compilation cached": 3.0}


class Timed(NamedTuple):
    """Seconds of wall clock and of processor time, and what was computed."""

    wall: float
    processor: float
    result: Any


def timed(work: Callable[[], Any]) -> Timed:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return Timed(time.perf_counter() - wall, time.process_time() - processor, result)


class Rows(NamedTuple):
    """Logs of sizes and tokens less `centre`, and of losses."""

    log_n: np.ndarray
    log_d: np.ndarray
    log_loss: np.ndarray
    centre: np.ndarray


def log_rows(centred: bool) -> Rows:
    rows = usable_rows(read_table(DATA))
    log_n, log_d = np.log(rows.params), np.log(rows.tokens)
    centre = np.array([log_n.mean(), log_d.mean()]) if centred else np.zeros(2)
    return Rows(log_n - centre[0], log_d - centre[1], np.log(rows.loss), centre)


def hoffmann_starts() -> np.ndarray:
    """The grid of Hoffmann et al. 2022, appendix D.3: (e, a, b, alpha, beta)."""
    e, ab, exponents = np.arange(-1, 1.1, 0.5), np.arange(0, 26, 5), np.arange(0, 2.1, 0.5)
    return np.array(list(itertools.product(e, ab, ab, exponents, exponents)))


def huber(
    theta: np.ndarray, rows: Rows, y: np.ndarray, w: np.ndarray, scale: float
) -> tuple[float, np.ndarray]:
    """The objective and its gradient in (e, a, b, alpha, beta), both times `scale`."""
    e, a, b, alpha, beta = theta
    terms = np.stack([np.full(len(y), e), a - alpha * rows.log_n, b - beta * rows.log_d])
    top = terms.max(axis=0)
    parts = np.exp(terms - top)
    total = parts.sum(axis=0)
    r = np.log(total) + top - y
    small = np.minimum(np.abs(r), HUBER_DELTA)
    value = w @ (small * (np.abs(r) - 0.5 * small))
    pull = parts / total * (w * np.clip(r, -HUBER_DELTA, HUBER_DELTA))
    sums = pull.sum(axis=1)
    slopes = (*sums, -(pull[1] @ rows.log_n), -(pull[2] @ rows.log_d))
    return scale * float(value), scale * np.array(slopes)


def scipy_starts(starts: np.ndarray) -> np.ndarray:
    """Objectives that L-BFGS-B at its default tolerances ends at from every start."""
    rows = log_rows(centred=False)
    y, w = rows.log_loss, np.ones(len(rows.log_loss))
    ends = [minimize(huber, start, (rows, y, w, 1.0), "L-BFGS-B", jac=True).fun for start in starts]
    return np.array(ends)


@in_float64
def our_starts(starts: np.ndarray) -> np.ndarray:
    """Objectives that our descents end at: a few steps from every start, then the best 64."""
    import jax.numpy as jnp

    from scaling_jax.laws.solver import newton
    from scaling_jax.laws.solver.problem import Data, Problem
    from scaling_jax.laws.solver.term_sum import TermSum

    rows = log_rows(centred=True)
    logs = {"params": rows.log_n, "tokens": rows.log_d}
    ones = jnp.ones(len(rows.log_loss))
    data = Data(jnp.asarray(CHINCHILLA.design(logs)), jnp.asarray(rows.log_loss), ones, jnp.ones(5))
    centred = starts.copy()
    centred[:, 1:3] -= starts[:, 3:] * rows.centre
    problem = Problem(TermSum(), objective_named("huber"))
    tried = newton.descend(problem, centred, data, max_steps=4)
    best = tried.theta_SxP[np.argsort(tried.value_S)[:64]]
    return newton.descend(problem, best, data).value_S


def our_point() -> PointFit:
    rows = usable_rows(read_table(DATA))
    return optimum(CHINCHILLA, rows.variables, rows.loss)


def our_resamples(point: PointFit, weights: np.ndarray) -> np.ndarray:
    rows = usable_rows(read_table(DATA))
    losses = np.broadcast_to(rows.loss, weights.shape)
    return refit(CHINCHILLA, rows.variables, point, losses, weights)


def scipy_resamples(point: PointFit, weights: np.ndarray, ftol: float) -> np.ndarray:
    """Objectives from a warm start, with centred logs and an objective scaled by 1,000."""
    rows = log_rows(centred=True)
    options = {"ftol": ftol, "gtol": 1e-10, "maxiter": 5000, "maxfun": 20000, "maxcor": 20}
    ends = []
    for w in weights:
        arguments = (rows, rows.log_loss, w, 1e3)
        end = minimize(huber, point.theta_P, arguments, "L-BFGS-B", jac=True, options=options)
        ends.append(end.fun / 1e3)
    return np.array(ends)


def objectives(constants_BxP: np.ndarray, weights: np.ndarray) -> np.ndarray:
    rows = log_rows(centred=False)
    logs = np.concatenate([np.log(constants_BxP[:, :3]), constants_BxP[:, 3:]], axis=1)
    values = [
        huber(theta, rows, rows.log_loss, w, 1.0)[0] for theta, w in zip(logs, weights, strict=True)
    ]
    return np.array(values)


def tightened(point: PointFit, weights: np.ndarray, reached: np.ndarray) -> tuple[Timed, str]:
    """The loosest tolerance at which L-BFGS-B gets 95 % of the resamples to our optima."""
    for ftol in (1e-9, 1e-11, 1e-13, 1e-15, 1e-17):
        run = timed(lambda ftol=ftol: scipy_resamples(point, weights, ftol))
        share = float(np.mean(run.result <= reached * (1 + SAME)))
        if share >= 0.95:
            break
    lower = float(np.mean(reached <= run.result * (1 + SAME)))
    return run, (
        f"SciPy at ftol {ftol:g} reaches ours in {share:.0%} of {len(weights)}; "
        f"ours reach SciPy's in {lower:.0%}"
    )


def cold(cache: str | None) -> Timed:
    """`scaling-jax fit --bootstrap 4000` in a process of its own."""
    program = "import sys; from scaling_jax.cli import main; sys.exit(main())"
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    if cache is not None:
        environment |= {
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    command = [sys.executable, "-c", program, "fit", str(DATA), "--bootstrap", "4000"]
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    return Timed(wall, used, None)


def report(name: str, theirs: Timed, ours: Timed, factor: float, note: str) -> None:
    wall, processor = factor * theirs.wall, factor * theirs.processor
    print(
        f"{name:<16}{wall:>9.2f}{processor:>9.2f}{ours.wall:>9.3f}{ours.processor:>9.3f}"
        f"{wall / ours.wall:>9.0f}x{processor / ours.processor:>8.0f}x{TARGETS[name]:>8}x  {note}",
        flush=True,
    )


def best_of(work: Callable[[], Any], repeats: int = 5) -> Timed:
    """The fastest of some runs, after one that compiles."""
    work()
    return min((timed(work) for _ in range(repeats)), key=lambda run: run.wall)


def compare_starts() -> Timed:
    starts = hoffmann_starts()
    theirs, ours = timed(lambda: scipy_starts(starts)), best_of(lambda: our_starts(starts))
    hits = float(np.mean(theirs.result <= OPTIMUM * (1 + SAME)))
    note = (
        f"SciPy's best is {theirs.result.min() / OPTIMUM - 1:.1e} above the optimum, "
        f"ours {ours.result.min() / OPTIMUM - 1:.1e}; {hits:.1%} of SciPy's starts reach it"
    )
    report("4500 starts", theirs, ours, 1.0, note)
    return theirs


def compare_resamples(point: PointFit, n_scipy: int) -> None:
    rng = np.random.default_rng(0)
    n = len(point.residuals_N)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=4000).astype(float)
    ours = best_of(lambda: our_resamples(point, weights), repeats=3)
    some = weights[:n_scipy]
    theirs, note = tightened(point, some, objectives(ours.result[:n_scipy], some))
    report("4000 resamples", theirs, ours, 4000 / n_scipy, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scipy-resamples", type=int, default=200)
    options = parser.parse_args()
    if not ONE_THREAD.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    print(f"{'':<16}{'SciPy s':>9}{'cpu s':>9}{'ours s':>9}{'cpu s':>9}{'ratio':>10}", end="")
    print(f"{'of cpu':>9}{'target':>9}")
    scipy = compare_starts()
    ours = best_of(our_point)
    off = ours.result.value / OPTIMUM - 1
    report("point fit", scipy, ours, 1.0, f"{off:.1e} above the optimum, from our own starts")
    compare_resamples(ours.result, options.scipy_resamples)
    with tempfile.TemporaryDirectory() as cache:
        cold(cache)
        seconds = {"cold": cold(None), "cold, compilation cached": cold(cache)}
    for name, run in seconds.items():
        print(
            f"fit --bootstrap 4000, {name}: {run.wall:.1f} s, {run.processor:.1f} s of processor "
            f"(target {COLD_TARGETS[name]:g} s)"
        )


if __name__ == "__main__":
    main()
