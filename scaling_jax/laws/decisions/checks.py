"""Checks of the numbers that decisions take."""

import math

from scaling_jax.errors import InputError


def require_positive(name: str, value: float, remedy: str) -> None:
    """Reject a number that is not positive and finite.

    Raises:
        InputError: with the value, the rule and the remedy.
    """
    if not 0 < value < math.inf:
        raise InputError(f"{name} {value:g} must be positive and finite: {remedy}")


def require_at_least_zero(name: str, value: float, remedy: str) -> None:
    """Reject a number that is negative or not finite.

    Raises:
        InputError: with the value, the rule and the remedy.
    """
    if not 0 <= value < math.inf:
        raise InputError(f"{name} {value:g} must be finite and not negative: {remedy}")


def require_utilization(value: float) -> None:
    """Reject a share of the peak outside (0, 1].

    Raises:
        InputError: with the value, the rule and the remedy.
    """
    if not 0 < value <= 1:
        raise InputError(
            f"utilization {value:g} must lie above 0 and at most at 1: "
            "give the share of the peak, such as 0.4"
        )
