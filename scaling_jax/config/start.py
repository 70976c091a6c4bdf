"""The checkpoint of another run that a run starts from."""

from dataclasses import dataclass

from scaling_jax.config.strict import require_positive, settle_numbers
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Start:
    """The point in another run at which a run starts: with its parameters and optimizer moments.

    The run counts its own steps and tokens from there, and reads the text on which the other run
    would train next.

    >>> Start(run="86bf058030ec4ceb", step=100, batch_size=8).sequences
    800

    Attributes:
        run: run_id of the other run.
        step: number of its steps.
        batch_size: its sequences per step.

    Raises:
        InputError: no run, or a count below 1.
    """

    run: str
    step: int
    batch_size: int

    def __post_init__(self) -> None:
        settle_numbers(self)
        if not self.run or not isinstance(self.run, str):
            raise InputError(f"start run {self.run!r} must be the run_id of another run")
        for name in ("step", "batch_size"):
            require_positive(f"start {name}", getattr(self, name))

    def __str__(self) -> str:
        return f"step {self.step} of {self.run}"

    @property
    def sequences(self) -> int:
        """Sequences that the other run has read before."""
        return self.step * self.batch_size
