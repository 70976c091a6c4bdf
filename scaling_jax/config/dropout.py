"""Configuration of dropout."""

from dataclasses import dataclass, fields

from scaling_jax.config.strict import settle_numbers
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Dropout:
    """Shares of values that training sets to zero (Srivastava et al. 2014), at GPT-2's places.

    The values that are kept are divided by 1 minus the share. Evaluation drops nothing.

    >>> Dropout.everywhere(0.1)
    Dropout(residual=0.1, attention=0.1, embedding=0.1)

    Attributes:
        residual: of the output of each attention and feed-forward layer, before it is added to the
            residual stream.
        attention: of the attention weights, after the softmax.
        embedding: of the embedded tokens, positions included.

    Raises:
        InputError: a share outside [0, 1).
    """

    residual: float = 0.0
    attention: float = 0.0
    embedding: float = 0.0

    def __post_init__(self) -> None:
        settle_numbers(self)
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"dropout {name} {value} must be at least 0 and below 1")

    @classmethod
    def everywhere(cls, rate: float) -> "Dropout":
        """One share at all three places, as Kaplan et al. 2020 (section 4.2) have it at 0.1."""
        return cls(rate, rate, rate)


NO_DROPOUT = Dropout()
