"""Shapes of transformers: the family that gives one for a wanted size, and Chinchilla's fifty.

A family is a path through shapes, from tens of thousands of parameters to trillions, along
which proportions change as little as whole numbers allow. Jumps in them would show as bumps
in a curve of loss against size.
"""

import functools
import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import DEFAULT_CAPACITY, Activation, Positions, Shape
from scaling_jax.config.strict import later
from scaling_jax.errors import InputError

DEFAULT_ASPECT = 64.0
LARGEST_PARAMS = 1e15
_SMALLEST_WIDTH = 8

# Where rounding leaves a choice, any depth whose aspect ratio is this close to the wanted one
# will do. Shapes then lie dense enough in size, and Kaplan et al. 2020 (Section 3.1) find the
# loss flat over far wider changes.
_ASPECT_TOLERANCE = 0.15

# From this width on, heads have the published sizes: 64 channels up to a width of 1,024 and
# 128 above (Table A9). Below it, heads of that size would be too few, so their number is held
# over each octave or two of width and their size grows.
_PUBLISHED_WIDTH = 512
_WIDE = 1024
_WIDTH_STEPS = ((64, 4), (256, 8), (_PUBLISHED_WIDTH, 16), (_WIDE, 64))
_FEW_HEADS = ((256, 8), (128, 4), (_SMALLEST_WIDTH, 2))

# Counts grow with the width save where the head size or the rounding of the feed-forward width
# changes, at 512 and below; from a quarter wider on they have grown there too.
_DIP = 1.25

# A single layer this wide already has more than `LARGEST_PARAMS`.
_MOST_RUNGS = 2**24


@dataclass(frozen=True)
class Family:
    """Rule that gives a shape for a wanted number of parameters.

    The width runs over a fixed ladder (steps of 4 channels below 64, of 8 below 256, of 16
    below 512, of one head above), and the depth is the whole number nearest
    `d_model / aspect`, or another one whose aspect ratio is within 15 % of the wanted. The
    feed-forward width is `4 d_model` for GELU and `8/3 d_model`, rounded, for SwiGLU, of every
    expert too. Parameters are those one token uses: all of them in a dense model, so that with one
    expert a token a mixture is a dense model's size but for its routers.

    Attributes:
        vocab_size: number of token ids.
        seq_len: context length in tokens.
        aspect: wanted `d_model / n_layers`. Hoffmann et al. 2022 start at 64 and range from
            40 to 109 (Table A9); GPT-2's four shapes go from 64 down to 33.
        min_layers: least depth. Small models of a family are this deep, all of them, and
            grow in width alone until the aspect ratio is reached.
        head_dim: width of one head, which then divides every width; by default 64 up to a
            width of 1,024 and 128 above, and 4 to 62 in two to eight heads below 512.
        n_kv_heads, positions, activation, tied_embedding, qk_norm: as in `Shape`.
        n_experts, experts_per_token, capacity: as in `Shape`.

    Raises:
        InputError: an aspect that is not positive, sizes below 1, a head size that is odd
            under rotary positions, or experts that cannot be.
    """

    vocab_size: int
    seq_len: int
    aspect: float = DEFAULT_ASPECT
    min_layers: int = 2
    head_dim: int | None = None
    n_kv_heads: int | None = None
    positions: Positions = "rotary"
    activation: Activation = "gelu"
    tied_embedding: bool = True
    qk_norm: bool = False
    n_experts: int = later(1)
    experts_per_token: int = later(1)
    capacity: float = later(DEFAULT_CAPACITY)

    def __post_init__(self) -> None:
        if not 0 < self.aspect < math.inf:
            raise InputError(f"aspect {self.aspect} must be positive and finite")
        for name in ("min_layers", "head_dim", "n_kv_heads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} {value} must be at least 1")
        self.smallest()

    def smallest(self) -> Shape:
        """The family's smallest shape."""
        return next(self.shapes())

    # Caches: a study asks for much the same shapes again and again. Families are few and small.
    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def nearest(self, params: float) -> Shape:
        """The shape whose count of active parameters is nearest `params`, by ratio.

        Raises:
            InputError: `params` below the smallest shape's count, above 1e15 or not finite.
        """
        least = count_params(self.smallest()).active
        if not least <= params <= LARGEST_PARAMS:
            raise InputError(
                f"{params:g} parameters: shapes of this family (vocabulary {self.vocab_size}, at "
                f"least {self.min_layers} layers) have from {least} to {LARGEST_PARAMS:.0e}"
            )
        return min(self._around(params), key=lambda shape: _distance(shape, params))

    def grid(self, low: float, high: float, points: int) -> list[Shape]:
        """Distinct shapes nearest `points` log-spaced counts from `low` to `high`, ascending.

        Fewer than `points` where neighbours share a nearest shape.

        Raises:
            InputError: `points` below 2, `low` not below `high`, or either without a shape.
        """
        if points < 2 or not low < high:
            raise InputError(
                f"{points} shapes from {low:g} to {high:g} parameters: give two or more points "
                "and a low count below the high one"
            )
        ratio = high / low
        wanted = [low * ratio ** (i / (points - 1)) for i in range(points - 1)] + [high]
        return list(dict.fromkeys(self.nearest(params) for params in wanted))

    def shapes(self) -> Iterator[Shape]:
        """Every shape of the family, by width and then depth, without end."""
        for rung in itertools.count():
            width = self._width(rung)
            for depth in self._depths(width):
                yield self._shape(width, depth)

    def _around(self, params: float) -> Iterator[Shape]:
        """Shapes next to `params` in every width that can hold the nearest, in order."""
        reached = self._first_rung(
            lambda width: self._count(width, self._depths(width)[-1]) >= params
        )
        passed = self._first_rung(lambda width: self._count(width, self._depths(width)[0]) > params)
        # The last width that stays below the count at every depth may hold the nearest too.
        for rung in self._rungs_between(max(reached - 1, 0), passed):
            width = self._width(rung)
            for depth in self._depths_around(width, params):
                yield self._shape(width, depth)

    def _rungs_between(self, first: int, last: int) -> range:
        """Rungs `first` to `last`, and those beyond that a dip in the counts may bring back."""
        lowest, highest = self._width(first), self._width(last)
        if lowest < _WIDE:
            first = self._first_rung(lambda width: width * _DIP > lowest)
        if highest < _WIDE:
            last = self._first_rung(lambda width: width > highest * _DIP)
        return range(first, last + 1)

    def _first_rung(self, reached: Callable[[int], bool]) -> int:
        return bisect_left(range(_MOST_RUNGS), True, key=lambda rung: reached(self._width(rung)))

    def _width(self, rung: int) -> int:
        """The width at a place, from 0 on, of the ladder that the family climbs."""
        narrow, wide = _ladder(self.head_dim, self.n_kv_heads or 1)
        return narrow[rung] if rung < len(narrow) else wide[rung - len(narrow)]

    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def _depths(self, width: int) -> range:
        exact = width / self.aspect
        nearest = math.floor(exact + 0.5)
        # The nearest whole number may lie outside the tolerance, but then only just.
        low = min(nearest, math.ceil(exact / (1 + _ASPECT_TOLERANCE)))
        high = max(nearest, math.floor(exact * (1 + _ASPECT_TOLERANCE)))
        return range(max(low, self.min_layers), max(high, self.min_layers) + 1)

    def _depths_around(self, width: int, params: float) -> range:
        """The one or two depths of this width whose counts are next to `params`."""
        one, two = self._count(width, 1), self._count(width, 2)
        depths = self._depths(width)
        wanted = 1 + math.floor((params - one) / (two - one))
        below = min(max(wanted, depths[0]), depths[-1])
        return range(below, min(below + 1, depths[-1]) + 1)

    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def _count(self, width: int, depth: int) -> int:
        return count_params(self._shape(width, depth)).active

    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def _shape(self, width: int, depth: int) -> Shape:
        return Shape(
            n_layers=depth,
            d_model=width,
            n_heads=width // (self.head_dim or _head_size(width)),
            d_ff=_feed_forward_width(width, self.activation),
            vocab_size=self.vocab_size,
            seq_len=self.seq_len,
            n_kv_heads=self.n_kv_heads,
            positions=self.positions,
            activation=self.activation,
            tied_embedding=self.tied_embedding,
            qk_norm=self.qk_norm,
            n_experts=self.n_experts,
            experts_per_token=self.experts_per_token,
            capacity=self.capacity,
        )


def family_shape(
    params: float,
    *,
    vocab_size: int,
    seq_len: int,
    aspect: float = DEFAULT_ASPECT,
    min_layers: int = 2,
    head_dim: int | None = None,
    n_kv_heads: int | None = None,
    positions: Positions = "rotary",
    activation: Activation = "gelu",
    tied_embedding: bool = True,
    qk_norm: bool = False,
    n_experts: int = 1,
    experts_per_token: int = 1,
    capacity: float = DEFAULT_CAPACITY,
) -> Shape:
    """The shape of a `Family` whose count of active parameters is nearest `params`.

    Raises:
        InputError: as `Family` and `Family.nearest`; a count too small for any shape is told
            the smallest possible one.
    """
    family = Family(
        vocab_size,
        seq_len,
        aspect,
        min_layers,
        head_dim,
        n_kv_heads,
        positions,
        activation,
        tied_embedding,
        qk_norm,
        n_experts,
        experts_per_token,
        capacity,
    )
    return family.nearest(params)


def _distance(shape: Shape, params: float) -> float:
    return abs(math.log(count_params(shape).active / params))


@cache
def _ladder(head_dim: int | None, n_kv_heads: int) -> tuple[list[int], range]:
    """The widths whose heads `n_kv_heads` divides: those at uneven steps, then all the others."""
    widths: list[int] = []
    if head_dim is None:
        width = _SMALLEST_WIDTH
        while width <= _WIDE:
            widths.append(width)
            width += _width_step(width)
    step = (head_dim or _head_size(_WIDE + 1)) * n_kv_heads
    start = step * (widths[-1] // step + 1) if widths else step
    narrow = [width for width in widths if width // _head_size(width) % n_kv_heads == 0]
    return narrow, range(start, start + step * _MOST_RUNGS, step)


def _width_step(width: int) -> int:
    return next((step for below, step in _WIDTH_STEPS if width < below), 128)


def _head_size(width: int) -> int:
    if width >= _PUBLISHED_WIDTH:
        return 64 if width <= _WIDE else 128
    return width // next(n_heads for least, n_heads in _FEW_HEADS if width >= least)


def _feed_forward_width(width: int, activation: Activation) -> int:
    if activation == "gelu":
        return 4 * width
    step = 8 if width < _PUBLISHED_WIDTH else 64
    return step * round(8 * width / 3 / step)
