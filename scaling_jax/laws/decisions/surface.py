"""A loss surface at its fitted point and at every bootstrap draw, for decisions with intervals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.allocation import Estimate, interval
from scaling_jax.laws.catalogue import Law, PowerSum, law_named
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.decisions.checks import require_positive
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit

# A bracket of logarithms is at most some 1e3 wide; 64 halvings reach the spacing of float64.
_HALVINGS = 64

# Params and tokens at which a power of either is small beside the floor.
_FAR = 1e12


@dataclass(frozen=True)
class Surface:
    """`L = E + A / N^alpha + B / D^beta`, at R sets of constants: the point's, then the draws'.

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["besiroglu-2024"])
    >>> params, tokens = law.training_optimum(5.76e23)
    >>> f"{params[0]:.2g} parameters, {tokens[0]:.2g} tokens"
    '7.2e+10 parameters, 1.3e+12 tokens'

    Attributes:
        form: the law.
        constants_RxP: its constants, the point's in the first row.
        level: of intervals.

    Raises:
        InputError: a law of another shape.
    """

    form: Law
    constants_RxP: np.ndarray
    level: float

    def __post_init__(self) -> None:
        if not _is_two_powers_and_floor(self.form, self.constants_RxP):
            raise InputError(
                f"the law {self.form.name!r} is not E + A / N^alpha + B / D^beta, which this "
                "decision is computed from: fit with --law chinchilla"
            )

    @classmethod
    def of(cls, law: str | Law, constants: Mapping[str, float]) -> "Surface":
        """The surface of known constants, such as published ones, without intervals.

        Raises:
            InputError: an unknown law, or constants missing or left over.
        """
        form = law if isinstance(law, Law) else law_named(law)
        return cls(form, form.ordered(constants)[None], level=LEVEL)

    @property
    def floor_R(self) -> np.ndarray:
        """The loss E that no model goes below, nats per token."""
        if isinstance(self.form, PowerSum):
            constants = zip(self.form.terms, self.constants_RxP.T, strict=False)
            floors = [constant_R for term, constant_R in constants if not term.powers]
            return sum(floors, np.zeros(len(self.constants_RxP)))
        return _above_powers(self.form, self.constants_RxP, _FAR, _FAR)

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
        return self.form.value(self.constants_RxP, {"params": params, "tokens": tokens})

    def training_optimum(self, flops: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """N and D of the lowest loss at `flops` = 6 N D (Hoffmann et al. 2022, eq. 4)."""
        # The closed form is elementwise, so it takes a budget per row as well.
        found = allocation.form_frontier(self.form, self.constants_RxP, flops)
        return found.params, found.tokens

    def at_loss(
        self, loss_R: np.ndarray | float, logit_R: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """N and D of the given loss, where A / N^alpha is a given share of the reducible loss.

        The share is given by its logit, which keeps shares near 0 and near 1 exact: optima lie
        there when serving costs far more than training, or far less.
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
        """Reject a loss that no model reaches.

        Raises:
            InputError: a loss at or below the point's floor E.
        """
        require_positive("loss", loss, "give it in the unit of the fit")
        if loss <= self.floor_R[0]:
            raise InputError(
                f"loss {loss:g} must lie above {self.floor_R[0]:.4g}, the floor E of this fit, "
                "which no model reaches: ask for a higher loss"
            )

    def _frontier_constant(self, index: int) -> np.ndarray:
        assert self.form.frontier is not None
        return self.constants_RxP[:, self.form.names.index(self.form.frontier[index])]


# What decisions take: a fit, or known constants.
SurfaceLike = Fit | Surface


def surface_of(law: SurfaceLike) -> Surface:
    """The loss surface of a fit and of its bootstrap draws.

    Raises:
        InputError: a fit of approach 1 or 2, which has no loss, of a law of another shape, or one
            whose C is not 6 N D.
    """
    if isinstance(law, Surface):
        return law
    if not isinstance(law, LawFit):
        raise InputError(
            f"approach {law.approach} fits the optimum, not the loss: "
            "fit with approach 3 for this decision"
        )
    if not law.compute.is_six_n_d:
        raise InputError(
            f"this decision counts C = 6 N D, but C of this fit is {law.compute.column}, "
            f"{law.compute.relation}: fit the table without the column {law.compute.source!r}"
        )
    point_1xP = np.array([list(law.params.values())])
    draws = () if law.draws_BxP is None else (law.draws_BxP,)
    return Surface(law.definition, np.concatenate([point_1xP, *draws]), law.level)


def increasing_root(
    function: Callable[[np.ndarray], np.ndarray], low_R: np.ndarray, high_R: np.ndarray
) -> np.ndarray:
    """The zeros of an increasing function of R numbers between `low` and `high`.

    Bisection, because it needs no slope, cannot leave the bracket and works on all rows at once.
    NaN where an end or the function is not a number.
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
        softened_R: np.ndarray = np.logaddexp(0.0, x_R)
    return softened_R


def _is_two_powers_and_floor(law: Law, constants_RxP: np.ndarray) -> bool:
    if law.frontier is None or {*law.variables} != {"params", "tokens"}:
        return False
    if isinstance(law, PowerSum):
        alpha, beta, a, b = law.frontier
        expected = {a: {"params": {alpha: -1}}, b: {"tokens": {beta: -1}}}
        return expected == {term.coefficient: term.powers for term in law.terms if term.powers}
    # A function cannot be read, so it is tried: beside its two powers there may only be a constant.
    sizes = np.geomspace(1e6, 1e12, 5)
    floor_NxD = _above_powers(law, constants_RxP[0], sizes[:, None], sizes)
    return bool(np.ptp(floor_NxD) <= 1e-9 * np.abs(law.value(constants_RxP[0], _at(1e6, 1e6))))


def _above_powers(
    law: Law, constants_P: np.ndarray, params: np.ndarray | float, tokens: np.ndarray | float
) -> np.ndarray:
    """The law's value minus the two powers that trade off."""
    alpha, beta, a, b = (constants_P[..., law.names.index(n)] for n in law.frontier or ())
    return law.value(constants_P, _at(params, tokens)) - a / params**alpha - b / tokens**beta


def _at(params: np.ndarray | float, tokens: np.ndarray | float) -> dict[str, np.ndarray | float]:
    return {"params": params, "tokens": tokens}


def _log(x_R: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        log_R: np.ndarray = np.log(x_R)
    return log_R
