"""The compute that one recipe saves over another, each on its own frontier."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Estimate
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.decisions.checks import require_positive
from scaling_jax.laws.decisions.surface import Surface, surface_of
from scaling_jax.laws.fitted import Fit


@dataclass(frozen=True)
class ComputeMultiplier:
    """Recipe B beside recipe A at a budget of A.

    Attributes:
        flops: A's budget C.
        loss: A's loss at C, nats per token.
        floor: B's E, nats per token, which bounds B's loss from below.
        flops_needed: B's budget for A's loss; infinite where B never reaches the loss.
        multiplier: C over `flops_needed`: 2 where B needs half, 0 where B never reaches the loss.
        share_reached: share of the draws in which B reaches the loss; None without a bootstrap.
    """

    flops: float
    loss: Estimate
    floor: Estimate
    flops_needed: Estimate
    multiplier: Estimate
    share_reached: float | None

    @property
    def reached(self) -> bool:
        """Whether B ever reaches A's loss."""
        return self.loss.value > self.floor.value

    @property
    def verdict(self) -> str:
        """The answer as a sentence."""
        if not self.reached:
            return (
                f"B never reaches the loss {self.loss.value:.4f} that A reaches with "
                f"{self.flops:.3g} FLOPs: its floor E lies above, at {self.floor.value:.4f}."
            )
        doubt = (
            f" In {100 * (1 - self.share_reached):.0f} % of the resamples it never does."
            if self.share_reached is not None and self.share_reached < 1
            else ""
        )
        return (
            f"B reaches the loss {self.loss.value:.4f} that A reaches with {self.flops:.3g} FLOPs "
            f"with {self.flops_needed.value:.3g} FLOPs: its compute multiplier is "
            f"{self.multiplier.value:.3g}.{doubt}"
        )


def compute_multiplier(
    a: Fit, b: Fit, *, flops: float, shared_floor: bool = False
) -> ComputeMultiplier:
    """How much less compute B needs on its frontier to reach the loss of A at `flops`.

    On a frontier L = E + K (C / 6)^-gamma with gamma = alpha beta / (alpha + beta) (Hoffmann et
    al. 2022, equation 4 put into equation 2), so B needs C = 6 (K / (L - E))^(1 / gamma). The
    draws of both fits are paired at random, since they resample different runs.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax import laws
    >>> n, d = np.repeat(np.geomspace(1e7, 1e9, 6), 6), np.tile(np.geomspace(1e9, 1e11, 6), 6)
    >>> def fitted(better):
    ...     loss = 1.7 + 400 / (better * n) ** 0.34 + 410 / (better * d) ** 0.28
    ...     return laws.fit(pd.DataFrame({"params": n, "tokens": d, "loss": loss}), bootstrap=0)
    >>> found = laws.compute_multiplier(fitted(1), fitted(2), flops=1e21)
    >>> round(found.multiplier.value, 2)
    4.0

    Args:
        a, b: fits of approach 3 of the two recipes, which count the same parameters.
        flops: A's budget.
        shared_floor: require that both fits hold E at one value, without which the difference
            between two fitted floors can decide the answer far beyond the data.

    Raises:
        InputError: a budget that is not positive, fits that count different parameters, and
            with `shared_floor` fits that do not hold one E.
    """
    require_positive("flops", flops, "give A's budget in FLOPs")
    if a.count != b.count:
        raise InputError(
            f"A counts {a.count} parameters and B {b.count}, so their FLOPs differ in meaning: "
            "fit both with the same count"
        )
    if shared_floor:
        _require_shared_floor(a, b)
    first, second = _paired(surface_of(a), surface_of(b))
    loss_R = first.loss(*first.training_optimum(flops))
    with np.errstate(all="ignore"):
        params_R, tokens_R = second.cheapest_training(loss_R)
        needed_R = FLOPS_PER_PARAM_TOKEN * params_R * tokens_R
        needed_R = np.where(loss_R <= second.floor_R, np.inf, needed_R)
    drawn_B = (loss_R > second.floor_R)[1:]
    return ComputeMultiplier(
        flops=float(flops),
        loss=first.estimate(loss_R),
        floor=second.estimate(second.floor_R),
        flops_needed=second.estimate(needed_R),
        multiplier=second.estimate(flops / needed_R),
        share_reached=float(drawn_B.mean()) if len(drawn_B) else None,
    )


def _paired(first: Surface, second: Surface) -> tuple[Surface, Surface]:
    """Both surfaces with the same number of rows, draws paired at random.

    Fits with the same seed draw the same rows from tables of one length; in the original order the
    draws of A and B would be correlated, though the runs are not.
    """
    n = min(len(first.constants_RxP), len(second.constants_RxP)) - 1
    draws = 1 + np.random.default_rng(0).permutation(len(second.constants_RxP) - 1)[:n]
    rows = np.concatenate([[0], draws])
    return (
        Surface(first.form, first.constants_RxP[: n + 1], first.level),
        Surface(second.form, second.constants_RxP[rows], second.level),
    )


def _require_shared_floor(a: Fit, b: Fit) -> None:
    floors = [_held_floor(fit) for fit in (a, b)]
    if floors[0] is None or floors[0] != floors[1]:
        texts = [
            f"{name} {'fits' if held is None else 'holds'} E {fit.params.get('E', 0.0):.6g}"
            for name, held, fit in zip("AB", floors, (a, b), strict=True)
        ]
        raise InputError(
            f"{' and '.join(texts)}, but a shared floor needs one E held in both: "
            'fit both with fixed={"E": value}, or compare without shared_floor'
        )


def _held_floor(fit: Fit) -> float | None:
    """The E that a fit held; None where E was fitted, or where the fit does not record it."""
    if "E" not in fit.params:
        return None
    held = (fit.provenance.get("options") or {}).get("fixed") or {}
    if "E" in held:
        return float(held["E"])
    if fit.draws_BxP is None:
        return None
    drawn_B = fit.draws_BxP[:, list(fit.params).index("E")]
    # A held constant is the same in every resample; a fitted one differs.
    return fit.params["E"] if np.allclose(drawn_B, fit.params["E"], rtol=1e-9, atol=0) else None
