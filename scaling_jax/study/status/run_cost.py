"""What one run of a plan costs on given chips: memory, time and money."""

import math
from dataclasses import dataclass

from scaling_jax.accounting import flops
from scaling_jax.accounting.hardware import Chip, local_chip, training_seconds
from scaling_jax.accounting.hardware import chip as chip_named
from scaling_jax.accounting.memory import Memory
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import (
    Chips,
    choice_text,
    chosen_execution,
    estimated_memory,
    fewest_chips,
    is_estimated_to_fit,
)
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.status.measurement_cost import MeasurementCost, Measurements
from scaling_jax.study.status.speed import Speed


def require_price(price: float | None) -> None:
    """Refuse a price of a chip-hour that is negative or not finite (`InputError`)."""
    if price is not None and not 0 <= price < math.inf:
        raise InputError(f"price {price} must be finite and not negative: leave it out if unknown")


@dataclass(frozen=True)
class Machine:
    """The chips that a plan's cost is estimated for.

    Attributes:
        hardware: h100, v5e, v5p, v6e, cpu, ...; None is this machine.
        chips: number of chips that share each run.
        utilization: share of the chips' peak FLOP/s that is assumed where nothing was measured.
        price: price of a chip-hour, in any currency.
    """

    hardware: str | None = None
    chips: int = 1
    utilization: float = 0.4
    price: float | None = None

    @property
    def chip(self) -> Chip:
        """One of the chips.

        Raises:
            InputError: an unknown name, or no name on a machine whose accelerator is unknown.
        """
        found = local_chip() if self.hardware is None else chip_named(self.hardware)
        if found is None:
            raise InputError("this machine's accelerator is not a known chip: set --hardware")
        return found


THIS_MACHINE = Machine()


@dataclass(frozen=True)
class RunCost:
    """What one run costs.

    Attributes:
        execution: how the run is computed on the machine's chips, with what was left open chosen.
        choice: `execution` in a few words.
        memory: bytes on each chip.
        fits: whether the run is estimated to fit on the machine's chips.
        fits_on: the fewest chips that the run fits on, a power of two; None if there are none.
        seconds: time on the machine's chips.
        price: in the currency of `Machine.price`; None without a price.
        training_flops: FLOPs of the run's own steps, as executed.
        measurements: FLOPs of the run's own evaluations and measurements of the gradient noise.
    """

    execution: Execution
    choice: str
    memory: Memory
    fits: bool
    fits_on: int | None
    seconds: float
    price: float | None
    training_flops: float
    measurements: MeasurementCost


def run_cost(
    run: PlannedRun,
    machine: Machine,
    execution: Execution,
    speed: Speed | None,
    measurements: Measurements,
) -> RunCost:
    """What a run costs on the machine's chips, by the speed of finished runs if it is known.

    Raises:
        InputError: a run that does not divide over the chips.
    """
    seconds = _seconds(run, machine, speed)
    price = None if machine.price is None else machine.price * seconds * machine.chips / 3600
    config, chips = run.config, Chips(machine.chip, machine.chips)
    chosen = chosen_execution(config, execution, chips)
    device = estimated_memory(config, chosen, chips)
    fits = is_estimated_to_fit(device, execution, chips)
    return RunCost(
        chosen,
        choice_text(config, chosen, chips),
        device.times(chips.chip.jax_devices),
        fits,
        fewest_chips(config, execution, machine.chip, {machine.chips: fits}),
        seconds,
        price,
        training_flops=_training_flops(run),
        measurements=measurements.cost(run),
    )


def _training_flops(run: PlannedRun) -> float:
    """FLOPs of the run's own training, as executed."""
    config = run.config
    needed = flops.training_flops(config.shape, config.tokens, "exact")
    return run.flops_spent / run.flops * needed


def _seconds(run: PlannedRun, machine: Machine, speed: Speed | None) -> float:
    chip = machine.chip
    if speed is not None:
        share = run.flops_spent / run.flops
        return speed.seconds(run, share=share / (machine.chips * chip.jax_devices))
    return training_seconds(
        _training_flops(run),
        chip,
        precision=run.config.precision,
        n_chips=machine.chips,
        utilization=machine.utilization,
    )
