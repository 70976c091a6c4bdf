"""A list of shapes, such as a published one, to use instead of a family."""

import math
from dataclasses import dataclass

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.errors import InputError

# The nearest shape may have up to this many times the wanted parameters, or this many times fewer.
_LARGEST_RATIO = 1.5


@dataclass(frozen=True)
class ShapeTable:
    """Shapes from which a study chooses, such as `scaling_jax.shapes.CHINCHILLA_SHAPES`."""

    shapes: tuple[Shape, ...]

    def nearest(self, params: float) -> Shape:
        """The shape whose total parameter count is nearest `params`, by ratio.

        Raises:
            InputError: no shape within a factor of 1.5.
        """
        counts = {shape: count_params(shape).total for shape in self.shapes}
        shape = min(counts, key=lambda shape: abs(math.log(counts[shape] / params)))
        if not 1 / _LARGEST_RATIO <= counts[shape] / params <= _LARGEST_RATIO:
            raise InputError(
                f"{params:.3g} parameters: the nearest of this table's {len(counts)} shapes has "
                f"{counts[shape]:.3g}; choose sizes from {min(counts.values()):.3g} to "
                f"{max(counts.values()):.3g}"
            )
        return shape
