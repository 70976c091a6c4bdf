"""How fast finished runs were, and how long other runs will take at that speed."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.accounting import flops, hardware
from scaling_jax.study.plan.design import PlannedRun

if TYPE_CHECKING:
    from scaling_jax.runs.result import Result
    from scaling_jax.study.store.stored_run import StoredRun


@dataclass(frozen=True)
class Speed:
    """Speed of finished runs.

    Attributes:
        sizes: parameter counts of the runs, ascending.
        rates: for each size, the median FLOP/s of one device while it trained; matrix products
            as executed.
        overhead: median seconds per run beside training: compiling, reading, evaluating, saving.
        n_runs: number of measured runs.
        evaluation: time of their held-out evaluations, as a share of the time of their training.
    """

    sizes: tuple[int, ...]
    rates: tuple[float, ...]
    overhead: float
    n_runs: int
    evaluation: float

    def seconds(self, run: PlannedRun, share: float = 1.0) -> float:
        """Seconds that one device needs for a run, or for a share of the run's steps.

        The rate is interpolated in logarithms between measured sizes. Beyond them the rate of the
        nearest size is used.
        """
        import numpy as np

        config = run.config
        params = flops.count_params(config.shape).total
        rate = np.interp(math.log(params), np.log(self.sizes), np.log(self.rates))
        needed = flops.training_flops(config.shape, config.tokens, "exact")
        return self.overhead + share * needed / math.exp(rate)


def measured_speed(runs: "Iterable[StoredRun]", on: str | None = None) -> Speed | None:
    """Speed of the finished runs among `runs`; None if none finished.

    Args:
        runs: runs of a store.
        on: name of a chip; runs on other chips are left out.
    """
    results = [(run.planned, run.result) for run in runs]
    return speed_of([(planned, result) for planned, result in results if result], on)


def speed_of(results: "Iterable[tuple[PlannedRun, Result]]", on: str | None = None) -> Speed | None:
    """Speed of the finished runs among pairs of a run and its result; None if none finished."""
    rates: dict[int, list[float]] = {}
    overheads, evaluated, trained = [], 0.0, 0.0
    for planned, result in results:
        if result.status != "finished" or not result.tokens_per_second:
            continue
        if on is not None and chip_name(result.device) != on:
            continue
        shape, tokens = planned.config.shape, planned.config.tokens
        per_token = flops.training_flops(shape, tokens, "exact") / tokens
        size = flops.count_params(shape).total
        rates.setdefault(size, []).append(_tokens_per_device_second(result) * per_token)
        training = result.seconds.get("train", 0.0)
        overheads.append(sum(result.seconds.values()) - training)
        trained += training
        evaluated += result.seconds.get("curve", 0.0) + result.seconds.get("evaluate", 0.0)
    if not rates:
        return None
    sizes = tuple(sorted(rates))
    share = evaluated / trained if trained else 0.0
    medians = tuple(statistics.median(rates[size]) for size in sizes)
    return Speed(sizes, medians, statistics.median(overheads), len(overheads), share)


def _tokens_per_device_second(result: "Result") -> float:
    """Tokens per second and device; runs side by side count as if each had the device alone."""
    assert result.tokens_per_second is not None
    return result.tokens_per_second * result.side_by_side / result.devices


def chip_name(device_kind: str) -> str:
    """Name of the chip that JAX calls `device_kind`, as in `hardware.chip`; else JAX's name."""
    found = hardware.chip_of_kind(device_kind)
    return found.name if found else device_kind
