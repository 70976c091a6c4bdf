"""Time and money of training on given chips."""

from dataclasses import dataclass

from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.surface import require_at_least_zero, require_positive

_HOUR = 3600.0


@dataclass(frozen=True)
class TrainingCost:
    """What training takes.

    Attributes:
        flops: of the training.
        peak_flops: peak FLOP/s of one chip.
        utilization: share of the peak that is reached, an assumption apart from the peak.
        chips: at work together.
        hours: from start to end.
        chip_hours: of all chips.
        price_per_chip_hour, price: in the currency the price came in; None without one.
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

    Raises:
        InputError: a utilization outside (0, 1], fewer than one chip, or another number that is
            not positive and finite.
    """
    require_positive("flops", flops, "give the FLOPs of training")
    require_positive("peak_flops", peak_flops, "give the peak FLOP/s of one chip")
    if not 0 < utilization <= 1:
        raise InputError(
            f"utilization {utilization:g} must lie above 0 and at most at 1: "
            "give the share of the peak, such as 0.4"
        )
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
