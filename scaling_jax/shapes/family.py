"""Families of shapes: a rule that gives a shape for any wanted parameter count.

A family is a sequence of shapes from tens of thousands of parameters to trillions. Its proportions
change as little as whole numbers allow, because jumps in the proportions would show as bumps in a
curve of loss against size.
"""

import functools
import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from scaling_jax.accounting.flops import count_params
from scaling_jax.architectures.own import OwnArchitecture, sizes
from scaling_jax.config import DEFAULT_CAPACITY, Activation, ArchitectureName, Positions, Shape
from scaling_jax.config.strict import later, require_one_of
from scaling_jax.errors import InputError

SizedBy = Literal["params", "non_embedding"]

DEFAULT_ASPECT = 64.0
LARGEST_PARAMS = 1e15
_SMALLEST_WIDTH = 8

# A width may have every depth whose aspect ratio is this close to the wanted one. The shapes are
# then dense enough in size, and Kaplan et al. 2020 (Section 3.1) find that the loss is flat over
# much larger changes of the aspect ratio.
_ASPECT_TOLERANCE = 0.15

# From this width on, heads have the published sizes: 64 channels up to a width of 1,024 and
# 128 above (Table A9). Narrower models would have too few heads of that size. There the number of
# heads is constant over an octave or two of width, and the head size grows with the width.
_PUBLISHED_WIDTH = 512
_WIDE = 1024
_WIDTH_STEPS = ((64, 4), (256, 8), (_PUBLISHED_WIDTH, 16), (_WIDE, 64))
_FEW_HEADS = ((256, 8), (128, 4), (_SMALLEST_WIDTH, 2))

# Parameter counts grow with the width, except where the head size or the rounding of the
# feed-forward width changes, which happens at widths of 512 and below. A width that is larger by
# this factor always has more parameters.
_DIP = 1.25

# A single layer this wide already has more than `LARGEST_PARAMS`.
_MOST_RUNGS = 2**24


@dataclass(frozen=True)
class Family:
    """A rule that gives a shape for a wanted number of parameters.

    Widths come from a fixed ladder (steps of 4 channels below 64, of 8 below 256, of 16 below
    512, of one head above). The depth is the whole number nearest `d_model / aspect`, or another
    one whose aspect ratio is within 15 % of `aspect`. The feed-forward width is `4 d_model` for
    GELU and `8/3 d_model`, rounded, for SwiGLU, also in every expert. Parameters are the active
    ones, which one token uses: all parameters of a dense model. So a mixture with one expert per
    token has the size of a dense model plus its routers. An LSTM has as many cells as channels.

    >>> from scaling_jax.shapes import Family
    >>> shape = Family(vocab_size=32_000, seq_len=2048).nearest(125e6)
    >>> shape.n_layers, shape.d_model, shape.n_heads
    (12, 832, 13)
    >>> lstm = Family(vocab_size=256, seq_len=128, architecture="lstm", sized_by="non_embedding")
    >>> shape = lstm.nearest(1e6)
    >>> shape.n_layers, shape.d_model
    (3, 200)

    Attributes:
        vocab_size: number of token ids.
        seq_len: context length in tokens.
        aspect: wanted `d_model / n_layers`. In Hoffmann et al. 2022 it is 64 for the smallest
            shape and 40 to 109 for the others (Table A9); in GPT-2's four shapes 64 to 33.
        min_layers: smallest depth. All small models of a family have this depth and differ in
            width alone.
        head_dim: width of one head, which must divide every width; by default 64 up to a width of
            1,024 and 128 above, and 4 to 62 in two to eight heads below 512.
        n_kv_heads, positions, activation, tied_embedding, qk_norm: as in `Shape`.
        n_experts, experts_per_token, capacity: as in `Shape`.
        architecture, passes: as in `Shape`; or your own module, as `own_module` gives it, whose
            parameters must grow with width and depth.
        sized_by: which parameters are wanted: all active ones, or those without the vocabulary
            table, the output matrix and the position table, as Kaplan et al. 2020 count N. Shapes
            of several architectures are then comparable at equal N.

    Raises:
        InputError: an aspect that is not positive, a size below 1, an odd head size under rotary
            positions, or a value that `Shape` rejects.
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
    architecture: ArchitectureName | OwnArchitecture = later("transformer")
    passes: int = later(1)
    sized_by: SizedBy = later("params")

    def __post_init__(self) -> None:
        require_one_of("sized_by", self.sized_by, SizedBy)
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

    # Cached, because a study looks up the same few shapes many times.
    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def nearest(self, params: float) -> Shape:
        """The shape whose number of parameters, as `sized_by` says, is nearest `params`, by ratio.

        Raises:
            InputError: `params` below the smallest shape's count, above 1e15 or not finite.
        """
        least = self._count(self._width(0), self._depths(self._width(0))[0])
        if not least <= params <= LARGEST_PARAMS:
            raise InputError(
                f"{params:g} parameters: shapes of this family (vocabulary {self.vocab_size}, at "
                f"least {self.min_layers} layers) have from {least} to {LARGEST_PARAMS:.0e}"
            )
        sizes = self._around(params)
        return self._shape(*min(sizes, key=lambda size: abs(math.log(self._count(*size) / params))))

    def grid(self, low: float, high: float, points: int) -> list[Shape]:
        """Distinct shapes nearest `points` log-spaced counts from `low` to `high`, ascending.

        There are fewer than `points` shapes where neighbouring counts have the same nearest shape.

        Raises:
            InputError: `points` below 2, `low` not below `high`, or a count outside the family.
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
        """Every shape of the family, ordered by width and then depth; the sequence is infinite."""
        for rung in itertools.count():
            width = self._width(rung)
            for depth in self._depths(width):
                yield self._shape(width, depth)

    def _around(self, params: float) -> Iterator[tuple[int, int]]:
        """Widths and depths that may be nearest `params`: one or two depths of each width."""
        reached = self._first_rung(
            lambda width: self._count(width, self._depths(width)[-1]) >= params
        )
        passed = self._first_rung(lambda width: self._count(width, self._depths(width)[0]) > params)
        # The widest model that is smaller than `params` at every depth may be the nearest too.
        for rung in self._rungs_between(max(reached - 1, 0), passed):
            width = self._width(rung)
            for depth in self._depths_around(width, params):
                yield width, depth

    def _rungs_between(self, first: int, last: int) -> range:
        """Rungs `first` to `last`, and more on either side where counts may dip (`_DIP`)."""
        lowest, highest = self._width(first), self._width(last)
        if lowest < _WIDE:
            first = self._first_rung(lambda width: width * _DIP > lowest)
        if highest < _WIDE:
            last = self._first_rung(lambda width: width > highest * _DIP)
        return range(first, last + 1)

    def _first_rung(self, reached: Callable[[int], bool]) -> int:
        most = _MOST_RUNGS
        if isinstance(self.architecture, OwnArchitecture):
            # Counting needs the module to be made, which takes long for models of a huge depth.
            most = next(n for n in (2**i for i in itertools.count(4)) if reached(self._width(n)))
        return bisect_left(range(most), True, key=lambda rung: reached(self._width(rung)))

    def _width(self, rung: int) -> int:
        narrow, wide = _ladder(self.head_dim, self.n_kv_heads or 1)
        return narrow[rung] if rung < len(narrow) else wide[rung - len(narrow)]

    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def _depths(self, width: int) -> range:
        exact = width / self.aspect
        nearest = math.floor(exact + 0.5)
        # The nearest whole number is always allowed, even if it is slightly outside the tolerance.
        low = min(nearest, math.ceil(exact / (1 + _ASPECT_TOLERANCE)))
        high = max(nearest, math.floor(exact * (1 + _ASPECT_TOLERANCE)))
        return range(max(low, self.min_layers), max(high, self.min_layers) + 1)

    def _depths_around(self, width: int, params: float) -> range:
        """The one or two depths of this width whose counts are next to `params`."""
        if isinstance(self.architecture, OwnArchitecture):
            return self._depths(width)
        # The count is linear in the depth.
        one, two = self._count(width, 1), self._count(width, 2)
        depths = self._depths(width)
        wanted = 1 + math.floor((params - one) / (two - one))
        below = min(max(wanted, depths[0]), depths[-1])
        return range(below, min(below + 1, depths[-1]) + 1)

    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def _count(self, width: int, depth: int) -> int:
        if isinstance(self.architecture, OwnArchitecture):
            uncounted = self.architecture.uncounted(**self._dims(width, depth))
            return sizes(self.architecture, uncounted)[self.sized_by == "non_embedding"]
        counts = count_params(self._shape(width, depth))
        return counts.active if self.sized_by == "params" else counts.active_non_embedding

    @functools.lru_cache(maxsize=2**14)  # noqa: B019
    def _shape(self, width: int, depth: int) -> Shape:
        dims = self._dims(width, depth)
        if isinstance(self.architecture, OwnArchitecture):
            return self.architecture.shape(**dims)
        return Shape(**dims, architecture=self.architecture)

    def _dims(self, width: int, depth: int) -> dict[str, Any]:
        n_heads, d_ff = self._inner(width)
        return dict(
            n_layers=depth,
            d_model=width,
            n_heads=n_heads,
            d_ff=d_ff,
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
            passes=self.passes,
        )

    def _inner(self, width: int) -> tuple[int, int]:
        """The number of heads, and the feed-forward width."""
        if self.architecture == "lstm":
            return 1, width
        n_heads = width // (self.head_dim or _head_size(width))
        return n_heads, _feed_forward_width(width, self.activation)


@cache
def _ladder(head_dim: int | None, n_kv_heads: int) -> tuple[list[int], range]:
    """Widths whose number of heads `n_kv_heads` divides: narrow ones, then evenly spaced ones."""
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
