"""Shapes with the same number of parameters without embeddings, in other proportions.

After Kaplan et al. 2020 (arXiv 2001.08361), section 3.1 and figure 5: at a fixed number of
parameters without embeddings, one of three proportions changes. These are the aspect ratio (depth
and width together), the number of heads (at a fixed width), and the ratio of the feed-forward
width to the model's width (both together).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.errors import InputError
from scaling_jax.shapes.family import Family

Series = Literal["base", "aspect", "heads", "feed-forward"]

# The parameters of all shapes lie this close to the wanted number.
TOLERANCE = 0.02

# The feed-forward ratio may differ by this much from the wanted one. The feed-forward width takes
# small steps, so it makes up for the large steps of the width.
_RATIO_TOLERANCE = 0.15
_MOST_LAYERS = 512


@dataclass(frozen=True)
class Proportions:
    """Proportions that shapes of equal size have, one series for each.

    Attributes:
        aspects: wanted `d_model / n_layers`. The shape with the nearest depth that has the wanted
            size is taken.
        n_heads: numbers of heads; those that do not divide the width into even heads are left out.
        ff_ratios: wanted `d_ff / d_model`.

    Raises:
        InputError: a value that is not positive.
    """

    aspects: tuple[float, ...] = (4, 8, 16, 32, 64, 128)
    n_heads: tuple[int, ...] = (1, 2, 4, 8, 16)
    ff_ratios: tuple[float, ...] = (1, 2, 4, 8)

    def __post_init__(self) -> None:
        for name in ("aspects", "n_heads", "ff_ratios"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if wrong := [value for value in values if not 0 < value < math.inf]:
                raise InputError(f"{name} {wrong[0]} must be positive and finite")


def equal_shapes(
    params: float, family: Family, proportions: Proportions = Proportions()
) -> dict[Series, tuple[Shape, ...]]:
    """Shapes whose parameters without embeddings lie within 2 % of `params`, by what varies.

    The series `base` has one shape, with the family's aspect ratio. The other series do not repeat
    the base.

    >>> found = equal_shapes(1e6, Family(vocab_size=256, seq_len=128))
    >>> [(shape.n_layers, shape.d_model) for shape in found["aspect"]]
    [(25, 56), (20, 64), (11, 88), (7, 112), (2, 200)]

    Args:
        params: wanted number of parameters without embeddings.
        family: gives the vocabulary, the context, the variants and the base's aspect ratio.
        proportions: values of each series.

    Raises:
        InputError: no shape has that size, or no series has a shape besides the base.
    """
    depths = [shape for shape in _by_depth(params, family) if shape is not None]
    if not depths:
        raise InputError(
            f"{params:g} parameters without embeddings: no shape of this family (vocabulary "
            f"{family.vocab_size}, at least {family.min_layers} layers) lies within "
            f"{TOLERANCE:.0%} of them; choose another size or fewer layers"
        )
    base = _nearest_aspect(depths, family.aspect)
    series: dict[Series, Iterator[Shape | None]] = {
        "aspect": (_nearest_aspect(depths, aspect) for aspect in proportions.aspects),
        "heads": (_with_heads(base, n) for n in proportions.n_heads),
        "feed-forward": (_sized(params, base, ratio) for ratio in proportions.ff_ratios),
    }
    found: dict[Series, tuple[Shape, ...]] = {"base": (base,)}
    for name, shapes in series.items():
        distinct = dict.fromkeys(shape for shape in shapes if shape not in (None, base))
        found[name] = tuple(shape for shape in distinct if shape is not None)
    if not any(found[name] for name in found if name != "base"):
        raise InputError(
            f"{params:g} parameters without embeddings: no shape within {TOLERANCE:.0%} of them "
            "has other proportions than the base; choose a larger size or other proportions"
        )
    return found


def _by_depth(params: float, family: Family) -> Iterator[Shape | None]:
    """For each depth the shape of the wanted size with the usual feed-forward ratio, if any."""
    like = family.smallest()
    # The number of heads is the same at every depth, so that only depth and width differ.
    heads = _base_heads(params, family)
    for n_layers in range(family.min_layers, _MOST_LAYERS + 1):
        shape = replace(
            like, n_layers=n_layers, n_heads=heads, d_model=2 * heads, head_dim=2, n_kv_heads=None
        )
        if count_params(shape).non_embedding > params * (1 + TOLERANCE):
            return
        yield _sized(params, shape, like.d_ff / like.d_model)


def _base_heads(params: float, family: Family) -> int:
    """Heads of the family's shape of about this size; 12 n_layers d_model^2 is Kaplan's N."""
    depth = max(family.min_layers, round((params / (12 * family.aspect**2)) ** (1 / 3)))
    width = math.sqrt(params / (12 * depth))
    embedding = family.vocab_size * width
    least = count_params(family.smallest()).active
    return family.nearest(max(least, params + embedding)).n_heads


def _sized(params: float, like: Shape, ratio: float) -> Shape | None:
    """`like` with the width and feed-forward width of the wanted size and ratio, if there are."""
    step = 2 * like.n_heads
    per_layer = 4 + (1 + like.n_inputs) * ratio
    ideal = math.sqrt(params / (like.n_layers * per_layer))
    widths = {max(1, math.floor(ideal / step)) * step, math.ceil(ideal / step) * step}
    found = [
        shape for width in widths if (shape := _with_width(params, like, width, ratio)) is not None
    ]
    return min(found, key=lambda s: abs(math.log(s.d_ff / s.d_model / ratio)), default=None)


def _with_width(params: float, like: Shape, width: int, ratio: float) -> Shape | None:
    """`like` with this width and the nearest feed-forward width that gives the wanted size."""

    def of(d_ff: int) -> Shape:
        return replace(
            like, d_model=width, head_dim=width // like.n_heads, n_kv_heads=None, d_ff=d_ff
        )

    one, two = (count_params(of(d_ff)).non_embedding for d_ff in (1, 2))
    wanted, per_channel = round(ratio * width), two - one
    # Rounded inwards, so that the size stays within the tolerance.
    least = math.ceil(1 + (params * (1 - TOLERANCE) - one) / per_channel)
    most = math.floor(1 + (params * (1 + TOLERANCE) - one) / per_channel)
    d_ff = min(max(wanted, least), most)
    if most < max(least, 1) or abs(math.log(max(d_ff, 1) / (ratio * width))) > _RATIO_TOLERANCE:
        return None
    return of(d_ff)


def _with_heads(base: Shape, n_heads: int) -> Shape | None:
    if base.d_model % (2 * n_heads):
        return None
    return replace(base, n_heads=n_heads, head_dim=base.d_model // n_heads, n_kv_heads=None)


def _nearest_aspect(shapes: list[Shape], aspect: float) -> Shape:
    return min(shapes, key=lambda s: abs(math.log(s.d_model / s.n_layers / aspect)))
