"""What a fit minimizes: a penalty of each row's residual, summed with the rows' weights."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from scaling_jax.errors import InputError, suggestion

if TYPE_CHECKING:
    import jax

Space = Literal["log", "loss"]


@dataclass(frozen=True)
class Objective:
    """Huber's penalty of residuals `predicted - measured`, of log losses or of losses.

    Attributes:
        name: as the command line takes it.
        space: whether residuals are of log losses or of losses.
        delta: where Huber's penalty turns from square to linear; infinite for squared error.
        above: weight of residuals where the prediction lies above the measurement, relative
            to those where it lies below. Above 1, the fit moves down towards the lower envelope
            of the losses, which suits runs that can only have gone worse than they should.
        likelihood: whether the sum of squares is read as the likelihood of Gaussian noise, whose
            scale is fitted too. The constants are those of least squares.
    """

    # The name and how the sum is read change nothing of what is computed, so that objectives that
    # differ in these alone share compiled programs.
    name: str = field(compare=False)
    space: Space = "log"
    delta: float = math.inf
    above: float = 1.0
    likelihood: bool = field(default=False, compare=False)

    def penalty(self, r: "jax.Array") -> "jax.Array":
        """Penalty of each residual: `r^2 / 2` up to `delta`, then linear."""
        import jax.numpy as jnp

        small = jnp.minimum(jnp.abs(r), self.delta)
        return self._side(r) * small * (jnp.abs(r) - 0.5 * small)

    def slope(self, r: "jax.Array") -> "jax.Array":
        """First derivative of the penalty."""
        import jax.numpy as jnp

        return self._side(r) * jnp.clip(r, -self.delta, self.delta)

    def curvature(self, r: "jax.Array") -> "jax.Array":
        """Second derivative of the penalty: none beyond `delta`."""
        import jax.numpy as jnp

        return self._side(r) * (jnp.abs(r) <= self.delta)

    def reweighting(self, r: "jax.Array") -> "jax.Array":
        """Slope over residual: the weight that makes least squares a bound of the penalty."""
        import jax.numpy as jnp

        if math.isinf(self.delta):
            return self._side(r)
        return self._side(r) * jnp.minimum(1.0, self.delta / jnp.maximum(jnp.abs(r), self.delta))

    @property
    def quantile(self) -> float:
        """Quantile of the losses that the law runs through, where `delta` is small."""
        return 1 / (1 + self.above)

    def _side(self, r: "jax.Array") -> "jax.Array":
        import jax.numpy as jnp

        return jnp.where(r > 0, self.above, 1.0)


HUBER_DELTA = 1e-3

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("huber", delta=HUBER_DELTA),
        Objective("gaussian", likelihood=True),
        Objective("log-squares"),
        Objective("squares", space="loss"),
        Objective("lower-envelope", delta=HUBER_DELTA, above=4.0),
    )
}


def objective_named(name: "str | Objective") -> Objective:
    """The objective called `name`; an `Objective` stands for itself.

    `huber` is Hoffmann et al. 2022's (delta 1e-3 on log loss, summed). `gaussian` is the maximum
    likelihood of Gaussian noise on log loss: the constants of `log-squares`, with the noise's
    scale and the likelihood reported.

    Raises:
        InputError: an unknown name, with the nearest known one.
    """
    if isinstance(name, Objective):
        return name
    if name not in OBJECTIVES:
        raise InputError(f"unknown objective {name!r}{suggestion(name, list(OBJECTIVES))}")
    return OBJECTIVES[name]
