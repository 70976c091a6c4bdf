"""A fitted loss surface at its point and at every bootstrap draw, which decisions are read off."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import Estimate, interval
from scaling_jax.laws.catalogue import Form, form_named
from scaling_jax.laws.fitted import Fit

# Enough to narrow any bracket of logarithms down to what float64 can tell apart.
_HALVINGS = 64


@dataclass(frozen=True)
class Surface:
    """`L = E + A / N^alpha + B / D^beta`, at R sets of constants: the point's, then the draws'.

    Attributes:
        form: the law.
        constants_RxP: its constants, the point's in the first row.
        level: of intervals.

    Raises:
        InputError: a law of another shape.
    """

    form: Form
    constants_RxP: np.ndarray
    level: float

    def __post_init__(self) -> None:
        if not _is_two_powers_and_floor(self.form):
            raise InputError(
                f"the law {self.form.name!r} is not E + A / N^alpha + B / D^beta, which this "
                "decision is computed from: fit with --law chinchilla"
            )

    @classmethod
    def of(cls, law: str, constants: Mapping[str, float]) -> "Surface":
        """The surface of known constants, such as published ones; it gives no intervals.

        Raises:
            InputError: an unknown law, or constants missing or left over.
        """
        form = form_named(law)
        if set(constants) != set(form.names):
            raise InputError(
                f"constants {', '.join(constants)}: the law {law!r} needs {', '.join(form.names)}"
            )
        return cls(form, np.array([[float(constants[name]) for name in form.names]]), level=0.9)

    @property
    def floor_R(self) -> np.ndarray:
        """The loss E that no model goes below, nats per token."""
        return sum(
            (self.constants_RxP[:, k] for k, term in enumerate(self.form.terms) if not term.powers),
            np.zeros(len(self.constants_RxP)),
        )

    @property
    def alpha_R(self) -> np.ndarray:
        """Exponent of N."""
        return self._frontier_constant(0)

    @property
    def beta_R(self) -> np.ndarray:
        """Exponent of D."""
        return self._frontier_constant(1)

    @property
    def log_a_R(self) -> np.ndarray:
        """Logarithm of the coefficient of `N^-alpha`."""
        return _log(self._frontier_constant(2))

    @property
    def log_b_R(self) -> np.ndarray:
        """Logarithm of the coefficient of `D^-beta`."""
        return _log(self._frontier_constant(3))

    def loss(self, params: np.ndarray | float, tokens: np.ndarray | float) -> np.ndarray:
        """Loss of every row at its params and tokens, nats per token."""
        return self.form.loss(self.constants_RxP, {"params": params, "tokens": tokens})

    def training_optimum(self, flops: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """N and D that reach the lowest loss at `flops` = 6 N D (Hoffmann et al. 2022, eq. 4)."""
        # The closed form is per row, so budgets that differ from row to row go in as they are.
        found = allocation.form_frontier(self.form, self.constants_RxP, flops)  # type: ignore[arg-type]
        return found.params, found.tokens

    def at_loss(
        self, loss_R: np.ndarray | float, logit_R: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """N and D of the given loss, A / N^alpha being a share of the reducible loss.

        The share comes as its logit, which tells shares near 0 and near 1 apart.
        """
        with np.errstate(all="ignore"):
            log_delta_R = np.log(loss_R - self.floor_R)
            log_params_R = (self.log_a_R - log_delta_R + softplus(-logit_R)) / self.alpha_R
            log_tokens_R = (self.log_b_R - log_delta_R + softplus(logit_R)) / self.beta_R
            return np.exp(log_params_R), np.exp(log_tokens_R)

    def cheapest_training(self, loss_R: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """N and D that reach the loss at the fewest training FLOPs.

        There alpha A / N^alpha = beta B / D^beta, whatever the loss.
        """
        return self.at_loss(loss_R, _log(self.beta_R) - _log(self.alpha_R))

    def estimate(self, values_R: np.ndarray) -> Estimate:
        """The point's value, with the draws' interval."""
        values_R = np.broadcast_to(values_R, len(self.constants_RxP))
        drawn_B = values_R[1:]
        return Estimate(float(values_R[0]), interval(drawn_B, self.level) if len(drawn_B) else None)

    def require_reachable(self, loss: float) -> None:
        """Refuse a loss that no model reaches.

        Raises:
            InputError: a loss at or below the point's floor E.
        """
        require_positive("loss", loss, "give nats per token")
        if loss <= self.floor_R[0]:
            raise InputError(
                f"loss {loss:g} must lie above {self.floor_R[0]:.4g}, the floor E of this fit, "
                "which no model reaches: ask for a higher loss"
            )

    def _frontier_constant(self, index: int) -> np.ndarray:
        assert self.form.frontier is not None
        return self.constants_RxP[:, self.form.names.index(self.form.frontier[index])]


# What decisions are read off: a fit, or known constants.
Law = Fit | Surface


def surface_of(law: Law) -> Surface:
    """The loss surface of a fit and of its bootstrap draws.

    Raises:
        InputError: a fit of approach 1 or 2, which has no loss, or of a law of another shape.
    """
    if isinstance(law, Surface):
        return law
    if law.approach != 3:
        raise InputError(
            f"approach {law.approach} fits the optimum, not the loss: "
            "fit with approach 3 for this decision"
        )
    point_1xP = np.array([list(law.params.values())])
    draws = () if law.draws_BxP is None else (law.draws_BxP,)
    return Surface(form_named(law.law), np.concatenate([point_1xP, *draws]), law.level)


def increasing_root(
    function: Callable[[np.ndarray], np.ndarray], low_R: np.ndarray, high_R: np.ndarray
) -> np.ndarray:
    """Where an increasing function of R numbers crosses zero between `low` and `high`.

    Bisection of all at once; NaN where an end or the function is not a number.
    """
    low_R, high_R = (np.array(end, np.float64) for end in np.broadcast_arrays(low_R, high_R))
    with np.errstate(all="ignore"):
        for _ in range(_HALVINGS):
            middle_R = low_R + (high_R - low_R) / 2
            below_R = function(middle_R) < 0
            low_R, high_R = np.where(below_R, middle_R, low_R), np.where(below_R, high_R, middle_R)
        root_R = low_R + (high_R - low_R) / 2
        return np.where(np.isnan(function(root_R)), np.nan, root_R)


def softplus(x_R: np.ndarray) -> np.ndarray:
    """`log(1 + e^x)` without overflow: minus the log of `1 - sigmoid(x)`."""
    with np.errstate(all="ignore"):
        return np.logaddexp(0.0, x_R)


def require_positive(name: str, value: float, remedy: str) -> None:
    """Refuse what is not a positive finite number.

    Raises:
        InputError: with the value, the rule and the remedy.
    """
    if not 0 < value < math.inf:
        raise InputError(f"{name} {value:g} must be positive and finite: {remedy}")


def require_at_least_zero(name: str, value: float, remedy: str) -> None:
    """Refuse what is negative or not finite.

    Raises:
        InputError: with the value, the rule and the remedy.
    """
    if not 0 <= value < math.inf:
        raise InputError(f"{name} {value:g} must be finite and not negative: {remedy}")


def _is_two_powers_and_floor(form: Form) -> bool:
    if form.frontier is None:
        return False
    alpha, beta, a, b = form.frontier
    expected = {a: {"params": {alpha: -1}}, b: {"tokens": {beta: -1}}}
    powers = {term.coefficient: term.powers for term in form.terms if term.powers}
    return powers == expected


def _log(x_R: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.log(x_R)
