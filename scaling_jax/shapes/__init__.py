"""Shapes of transformers for a wanted parameter count.

Belongs here: rules and published tables from a parameter count to a `Shape`.
Does not: counts of parameters and FLOPs (`accounting`), and the sizes a study trains (`study`).
"""

from scaling_jax.api import public_names
from scaling_jax.shapes.chinchilla import CHINCHILLA_MILLIONS as CHINCHILLA_MILLIONS
from scaling_jax.shapes.chinchilla import CHINCHILLA_SEQ_LEN as CHINCHILLA_SEQ_LEN
from scaling_jax.shapes.chinchilla import CHINCHILLA_SHAPES as CHINCHILLA_SHAPES
from scaling_jax.shapes.chinchilla import CHINCHILLA_VOCAB_SIZE as CHINCHILLA_VOCAB_SIZE
from scaling_jax.shapes.equal_size import Proportions as Proportions
from scaling_jax.shapes.equal_size import equal_shapes as equal_shapes
from scaling_jax.shapes.family import LARGEST_PARAMS as LARGEST_PARAMS
from scaling_jax.shapes.family import Family as Family
from scaling_jax.shapes.table import ShapeTable as ShapeTable


def __dir__() -> list[str]:
    return public_names(globals())
