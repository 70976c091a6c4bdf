"""The sizes along the envelope of training curves, and where Kaplan's rule would stop each.

Kaplan et al. 2020 (arXiv 2001.08361), equation 1.6, give the loss of a run after S steps as
`L(N, S) = (N_c / N)^alpha_N + (S_c / S)^alpha_S`. Appendix B: the model that reaches a loss with
the least compute stops at `1 + alpha_N / alpha_S` times its converged loss, 10 % above it by the
constants of their Table 3. At a fixed batch the size so trained grows as
`C^(alpha_S / (alpha_N + alpha_S))`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from scaling_jax.laws.catalogue import KAPLAN_PARAMS_STEPS
from scaling_jax.laws.conventions import SETTLED
from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Span, Stop
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.solver.convergence import converged
from scaling_jax.laws.solver.optimum import optimum

Run = Mapping[str, np.ndarray]

_POINTS_PER_RUN = 16
_LEAST_SIZES = 3


def sizes_along(
    runs: Sequence[Run], params_R: np.ndarray, envelope: FrontierPoints
) -> tuple[tuple[EnvelopeSize, ...], tuple[Note, ...]]:
    """One entry per model size, smallest first, and a sentence on the law that stops them.

    Args:
        runs: training curves with ascending `flops`, `tokens` and smoothed `loss`. Tokens count
            as steps: at a fixed batch the law is the same.
        params_R: N of every run.
        envelope: the lowest runs.
    """
    law = _law(runs, params_R)
    sizes = []
    for params in np.unique(params_R):
        of_size = [run for run, n in zip(runs, params_R, strict=True) if n == params]
        stop = None if law is None else _stop(law, params, of_size)
        sizes.append(EnvelopeSize(float(params), _span(envelope, params), stop))
    return tuple(sizes), () if law is None else (_sentence(law),)


def _law(runs: Sequence[Run], params_R: np.ndarray) -> dict[str, float] | None:
    if len(np.unique(params_R)) < _LEAST_SIZES:
        return None
    params, tokens, loss = [], [], []
    for run, n in zip(runs, params_R, strict=True):
        x = np.log(run["tokens"])
        some = np.linspace(max(x[0], x[-1] + np.log(SETTLED)), x[-1], _POINTS_PER_RUN)
        params.append(np.full(_POINTS_PER_RUN, n))
        tokens.append(np.exp(some))
        loss.append(np.interp(some, x, run["loss"]))
    values = {"params": np.concatenate(params), "steps": np.concatenate(tokens)}
    point = optimum(KAPLAN_PARAMS_STEPS, values, np.concatenate(loss))
    if not converged(point):
        return None
    return dict(zip(KAPLAN_PARAMS_STEPS.names, point.constants_P.tolist(), strict=True))


def _span(envelope: FrontierPoints, params: float) -> Span | None:
    at = np.flatnonzero((envelope.params == params) & np.isfinite(envelope.loss))
    if not len(at):
        return None

    def ends(values_G: np.ndarray) -> tuple[float, float]:
        return float(values_G[at[0]]), float(values_G[at[-1]])

    return Span(ends(envelope.flops), ends(envelope.tokens), ends(envelope.loss))


def _stop(law: Mapping[str, float], params: float, runs: Sequence[Run]) -> Stop:
    converged = law["A"] / params ** law["alpha_N"]
    loss = (1 + law["alpha_N"] / law["alpha_S"]) * converged
    reached = [
        (float(run["flops"][first]), float(run["tokens"][first]))
        for run in runs
        for first in np.flatnonzero(run["loss"] <= loss)[:1]
    ]
    flops, tokens = min(reached, default=(None, None))
    return Stop(float(converged), float(loss), flops, tokens)


def _sentence(law: Mapping[str, float]) -> Note:
    alpha_n, alpha_s = law["alpha_N"], law["alpha_S"]
    return Note(
        NoteCode.KAPLAN_STOPPING,
        f"Kaplan's L(N, S), fitted to the same curves, has alpha_N {alpha_n:.3g} and alpha_S "
        f"{alpha_s:.3g}: a size is to stop {100 * alpha_n / alpha_s:.3g} % above its converged "
        f"loss, and the efficient size grows as C^{alpha_s / (alpha_n + alpha_s):.3f}.",
    )
