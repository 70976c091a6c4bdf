"""When a run measures the noise of its gradient, and on how much text."""

from dataclasses import dataclass

from scaling_jax.config.evaluation import LogSpaced, evaluation_steps, without_default_share
from scaling_jax.config.strict import require_positive, settle_numbers, whole_number
from scaling_jax.errors import InputError

# A jackknife over fewer gradients says little of the errors.
_LEAST_GRADIENTS = 8

_TEN_POINTS = LogSpaced(points=10, share=None)


@dataclass(frozen=True)
class NoiseScale:
    """Measurements of the gradient noise scale along a run (McCandlish et al. 2018, 1812.06162).

    A measurement computes the gradients of `sequences / small` small batches of text that the run
    reads next, each of them twice, and costs as many FLOPs as training on twice that text. It does
    not change the run.

    >>> NoiseScale(every=LogSpaced(points=5), sequences=32).steps(n_steps=1000, tokens_per_step=256)
    (10, 32, 100, 316, 1000)

    Attributes:
        every: tokens between measurements, or `LogSpaced` points.
        sequences: sequences of a measurement, the larger of the two batch sizes.
        small: sequences of a small batch, the smaller of the two batch sizes. 1 gives the narrowest
            intervals. Devices that shard a batch need at least one sequence each.

    Raises:
        InputError: a count below 1, or sequences that are not at least 8 whole small batches.
    """

    every: int | LogSpaced = _TEN_POINTS
    sequences: int = 64
    small: int = 1

    def __post_init__(self) -> None:
        settle_numbers(self)
        object.__setattr__(self, "every", without_default_share(self.every))
        if not isinstance(self.every, LogSpaced):
            object.__setattr__(self, "every", whole_number("noise_scale every", self.every))
            require_positive("noise_scale every", self.every)
        elif self.every.share is not None:
            raise InputError(
                f"noise_scale every {self.every} has a share, which sets the held-out text of a "
                "point: leave out share, and set sequences"
            )
        for name in ("sequences", "small"):
            require_positive(f"noise_scale {name}", getattr(self, name))
        if self.sequences % self.small or self.n_gradients < _LEAST_GRADIENTS:
            raise InputError(
                f"noise_scale sequences {self.sequences} must be a multiple of small {self.small}, "
                f"and at least {_LEAST_GRADIENTS} times it: raise sequences or lower small"
            )

    def __str__(self) -> str:
        return f"{self.sequences} sequences by {self.small}, every {self.every}"

    @property
    def n_gradients(self) -> int:
        """Number of small batches of a measurement."""
        return self.sequences // self.small

    def steps(self, n_steps: int, tokens_per_step: int) -> tuple[int, ...]:
        """The steps, in ascending order, after which the noise is measured; the last is the end."""
        return evaluation_steps(self.every, n_steps, tokens_per_step)

    def check(self, tokens: int) -> None:
        """Check that a run of `tokens` tokens is as long as the spacing.

        Raises:
            InputError: it is shorter.
        """
        if not isinstance(self.every, LogSpaced) and self.every > tokens:
            raise InputError(
                f"noise_scale every {self.every:,} tokens is more than the run's {tokens:,}: "
                "choose fewer, or LogSpaced(), which follows the length of each run"
            )
