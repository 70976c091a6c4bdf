"""What a plan takes on given chips: memory, time and money."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.accounting import flops, hardware
from scaling_jax.accounting.memory import Memory
from scaling_jax.aot.estimate import estimated_memory, options_that_fit
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution

if TYPE_CHECKING:
    from scaling_jax.study import PlannedRun, Study
    from scaling_jax.study.status.speed import Speed


@dataclass(frozen=True)
class Cost:
    """What one run takes: bytes on each chip, the fewest chips it fits on, seconds, money.

    `price` is in the currency of the price of a chip-hour; None without one.
    """

    memory: Memory
    fits_on: int | None
    seconds: float
    price: float | None


@dataclass(frozen=True)
class Machine:
    """The chips a plan is priced for.

    Attributes:
        utilization: share of the peak that is assumed to be reached where nothing was measured.
        speed: that of finished runs on one such chip, where there are some.
        price: of a chip-hour.
    """

    chip: hardware.Chip
    n_chips: int
    utilization: float
    execution: Execution
    speed: "Speed | None" = None
    price: float | None = None

    def cost(self, run: "PlannedRun") -> Cost:
        """Memory, time and money of a run.

        Raises:
            InputError: it does not divide over the chips, or a choice does not suit them.
        """
        seconds = self._seconds(run)
        price = None if self.price is None else self.price * seconds * self.n_chips / 3600
        return Cost(self.memory(run, self.n_chips), self._fewest_chips(run), seconds, price)

    def memory(self, run: "PlannedRun", n_chips: int) -> Memory:
        """Memory on each of `n_chips` chips."""
        device = estimated_memory(run.config, self.execution, self.chip, n_chips)
        return device.times(self.chip.jax_devices)

    def remedy(self, run: "PlannedRun") -> str | None:
        """Options with which a run is estimated to fit on the same chips, if there are any."""
        return options_that_fit(run.config, self.execution, self.chip, self.n_chips)

    def assumption(self) -> str:
        """Where the time comes from, in words."""
        if self.speed is None:
            return f"Time is at an assumed {self.utilization:.0%} of their peak."
        slowest, fastest = min(self.speed.rates), max(self.speed.rates)
        return (
            f"Time is by the {self.speed.n_runs} runs that finished on {self.chip.name} at "
            f"{formatting.flops(slowest)} to {formatting.flops(fastest)} FLOP/s a device, with "
            f"{formatting.seconds(self.speed.overhead)} each beside training."
        )

    def _seconds(self, run: "PlannedRun") -> float:
        config, share = run.config, run.flops_spent / run.flops
        if self.speed is not None:
            return self.speed.seconds(run, share=share / (self.n_chips * self.chip.jax_devices))
        return hardware.training_seconds(
            share * flops.training_flops(config.shape, config.tokens, "exact"),
            self.chip,
            precision=config.precision,
            n_chips=self.n_chips,
            utilization=self.utilization,
        )

    def _fewest_chips(self, run: "PlannedRun") -> int | None:
        n = 1
        while n <= run.config.batch_size:
            with suppress(InputError):
                if self.memory(run, n).total <= self.chip.usable_bytes:
                    return n
            n *= 2
        return None


def chip_called(name: str | None) -> hardware.Chip:
    """The chip of that name, by default this machine's.

    Raises:
        InputError: an unknown one.
    """
    found = hardware.local_chip() if name is None else hardware.chip(name)
    if found is None:
        raise InputError("this machine's accelerator is not a known chip: name one by --hardware")
    return found


def speed_there(study: "Study", root: str | None, chip: hardware.Chip) -> "Speed | None":
    """The speed of runs that finished under `root` on such a chip, the study's own if it is there.

    Raises:
        InputError: no study there, or several of which none is this one.
    """
    from scaling_jax.study import Store
    from scaling_jax.study.status.speed import measured_speed
    from scaling_jax.system.files import absolute

    if root is None:
        return None
    own = absolute(root) / study.name
    store = Store.open(own if (own / "study.json").exists() else absolute(root))
    return measured_speed(store.runs(), on=chip.name)
