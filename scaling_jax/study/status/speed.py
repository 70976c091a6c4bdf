"""How fast finished runs were, and what that says of the time others will take."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax.accounting import flops, hardware
from scaling_jax.study.plan.design import PlannedRun

if TYPE_CHECKING:
    from scaling_jax.runs.result import Result
    from scaling_jax.study.store.store import StoredRun


@dataclass(frozen=True)
class Speed:
    """Speed of finished runs.

    Attributes:
        sizes: their parameter counts, ascending.
        rates: the FLOP/s of one device that runs of each size reached while they trained, in the
            median; matrix multiplications as executed.
        overhead: seconds beside training in the median: compiling, reading, evaluating, saving.
        n_runs: how many were measured.
    """

    sizes: tuple[int, ...]
    rates: tuple[float, ...]
    overhead: float
    n_runs: int

    def seconds(self, run: PlannedRun, share: float = 1.0) -> float:
        """Seconds of a run alone, or of a share of its steps, at the rate of sizes about its own.

        Between measured sizes the rate is interpolated in logarithms; beyond them it is that of
        the nearest.
        """
        import numpy as np

        config = run.config
        params = flops.count_params(config.shape).total
        rate = np.interp(math.log(params), np.log(self.sizes), np.log(self.rates))
        needed = flops.training_flops(config.shape, config.tokens, "exact")
        return self.overhead + share * needed / math.exp(rate)


def measured_speed(runs: "Iterable[StoredRun]", on: str | None = None) -> Speed | None:
    """Speed of those of `runs` that finished, on the chip called `on`; None if there are none."""
    results = [(run.planned, run.result) for run in runs]
    return speed_of([(planned, result) for planned, result in results if result], on)


def speed_of(results: "Iterable[tuple[PlannedRun, Result]]", on: str | None = None) -> Speed | None:
    """The same, of results that were read already."""
    rates: dict[int, list[float]] = {}
    overheads = []
    for planned, result in results:
        if result.status != "finished" or not result.tokens_per_second:
            continue
        if on is not None and chip_name(result.device) != on:
            continue
        shape, tokens = planned.config.shape, planned.config.tokens
        per_token = flops.training_flops(shape, tokens, "exact") / tokens
        size = flops.count_params(shape).total
        rates.setdefault(size, []).append(_rate(result) * per_token)
        overheads.append(sum(result.seconds.values()) - result.seconds.get("train", 0.0))
    if not rates:
        return None
    sizes = tuple(sorted(rates))
    medians = tuple(statistics.median(rates[size]) for size in sizes)
    return Speed(sizes, medians, statistics.median(overheads), len(overheads))


def _rate(result: "Result") -> float:
    """Tokens per second and device; of runs side by side, as if each had had it alone."""
    assert result.tokens_per_second is not None
    return result.tokens_per_second * result.side_by_side / result.devices


def chip_name(device_kind: str) -> str:
    """The chip that JAX calls `device_kind`, by the name of `hardware.chip` where it has one."""
    found = hardware.chip_of_kind(device_kind)
    return found.name if found else device_kind
