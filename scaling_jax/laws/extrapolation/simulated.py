"""What an average of candidates answers where losses follow a law of another form."""

import numpy as np

from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.extrapolation.candidates import Candidate
from scaling_jax.laws.extrapolation.described import described
from scaling_jax.laws.extrapolation.other_laws import other_laws, simulated
from scaling_jax.laws.extrapolation.rolled import Rolled, weighted
from scaling_jax.laws.form_error import Simulated
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.tables.select import Rows


def simulated_average(
    rows: Rows,
    chosen: tuple[Candidate, ...],
    rolled: Rolled,
    weight_J: np.ndarray,
    constants_P: np.ndarray,
    objective: Objective,
) -> tuple[Simulated, ...]:
    """The average of the same candidates with the same weights, fitted to losses of other laws.

    Those laws lie as near to the average over the rows as their forms allow, so that the rows would
    have given nearly the same weights.

    Args:
        rows: the fitted rows.
        chosen, rolled: the candidates and their fits.
        weight_J: of the candidates in the average.
        constants_P: of the average.
        objective: what the fits minimize.
    """
    values = {name: rows.variables[name] for name in SKALING.variables}
    truths = other_laws(SKALING, constants_P, values)
    loss_TxN = np.array([SKALING.value(truth.constants_P, values) for truth in truths])
    fitted_TxJxP = np.empty((len(truths), *rolled.constants_JxKxP[:, 0].shape))
    for form in dict.fromkeys(candidate.form for candidate in chosen):
        mine = [j for j, candidate in enumerate(chosen) if candidate.form == form]
        problem, n = weighted(form, rows, objective), len(truths)
        theta_BxP = problem.refitted(
            np.tile(rolled.theta_JxKxP[mine, 0], (n, 1)),
            np.tile(rolled.weights_JxKxN[mine, 0], (n, 1)),
            np.repeat(loss_TxN, len(mine), axis=0),
            rolled.least,
            np.full(n * len(mine), rolled.noise_K[0]),
        )
        fitted_TxJxP[:, mine] = problem.constants(theta_BxP).reshape(n, len(mine), -1)
    noise = float(rolled.noise_K[0])
    return tuple(
        simulated(truth, described(rows, fitted_JxP, weight_J), noise)
        for truth, fitted_JxP in zip(truths, fitted_TxJxP, strict=True)
    )
