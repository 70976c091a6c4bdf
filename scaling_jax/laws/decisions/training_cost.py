"""Time and price of training on given chips."""

from dataclasses import dataclass

from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.checks import (
    require_at_least_zero,
    require_positive,
    require_utilization,
)

_HOUR = 3600.0


@dataclass(frozen=True)
class TrainingCost:
    """Hours, chip-hours and price of a training run.

    Attributes:
        flops: of the training.
        peak_flops: peak FLOP/s of one chip.
        utilization: share of the peak that is reached (model FLOPs utilization).
        chips: number that train together.
        hours: from start to end.
        chip_hours: of all chips.
        price_per_chip_hour, price: in the currency of the given price; None without one.
    """

    flops: float
    peak_flops: float
    utilization: float
    chips: int
    hours: float
    chip_hours: float
    price_per_chip_hour: float | None
    price: float | None


def training_cost(
    flops: float,
    *,
    peak_flops: float,
    utilization: float,
    chips: int = 1,
    price_per_chip_hour: float | None = None,
) -> TrainingCost:
    """Hours, chip-hours and price of `flops` on `chips` chips of `peak_flops` FLOP/s each.

    >>> from scaling_jax import laws
    >>> cost = laws.training_cost(1e21, peak_flops=1e15, utilization=0.4, price_per_chip_hour=2)
    >>> round(cost.chip_hours), round(cost.price)
    (694, 1389)

    Raises:
        InputError: a utilization outside (0, 1], fewer than one chip, or another number that is
            not positive and finite.
    """
    require_positive("flops", flops, "give the FLOPs of training")
    require_positive("peak_flops", peak_flops, "give the peak FLOP/s of one chip")
    require_utilization(utilization)
    if chips < 1:
        raise InputError(f"{chips} chips must be at least 1: give how many train together")
    if price_per_chip_hour is not None:
        require_at_least_zero("price per chip-hour", price_per_chip_hour, "leave it out if unknown")
    chip_hours = flops / (peak_flops * utilization) / _HOUR
    return TrainingCost(
        flops=float(flops),
        peak_flops=float(peak_flops),
        utilization=float(utilization),
        chips=chips,
        hours=chip_hours / chips,
        chip_hours=chip_hours,
        price_per_chip_hour=price_per_chip_hour,
        price=None if price_per_chip_hour is None else chip_hours * price_per_chip_hour,
    )
