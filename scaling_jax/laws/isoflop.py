"""Approach 2: a parabola through each IsoFLOP curve, a power law through the minima."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import diagnostics
from scaling_jax.laws.allocation import POWER_LAW_NAMES, interval
from scaling_jax.laws.fit import Fit, Minimum
from scaling_jax.laws.options import Options
from scaling_jax.laws.precision import in_float64
from scaling_jax.laws.resample import resamples, scaled_noise
from scaling_jax.laws.table import Rows

LEAST_SIZES = 4
_CONSTANTS_PER_CURVE = 3


@dataclass(frozen=True)
class _Curves:
    """Rows sorted into curves: `member_GxN` marks the rows of each budget."""

    budgets_G: np.ndarray
    member_GxN: np.ndarray
    log_params_N: np.ndarray
    log_tokens_N: np.ndarray
    loss_N: np.ndarray


@dataclass(frozen=True)
class _Parabolas:
    """Vertices of the parabolas in log params and log tokens, and the fitted losses.

    `inside_G` says whether the parabola opens upwards and its vertex lies between the sizes.
    """

    quadratic_Gx3: np.ndarray
    log_params_G: np.ndarray
    log_tokens_G: np.ndarray
    loss_G: np.ndarray
    inside_G: np.ndarray
    fitted_N: np.ndarray


def fit_isoflop(rows: Rows, options: Options) -> Fit:
    """N_opt and D_opt of every budget and their power laws in C (Hoffmann et al. 2022, 3.2).

    N_opt is the vertex of a parabola in log N, D_opt that of one in log D. A budget whose
    parabola has no minimum between its smallest and largest model is left out, by name. The
    bootstrap resamples residuals of the parabolas, since a curve of five or six runs cannot
    lose any.

    Raises:
        InputError: no budgets, fewer than 4 sizes in every one, or fewer than 2 interior minima.
    """
    curves, dropped, notes = _curves(rows)
    parabolas = _parabolas(curves, curves.loss_N)
    kept_G = parabolas.inside_G
    notes += [_no_minimum(curves, g) for g, kept in enumerate(kept_G) if not kept]
    if kept_G.sum() < 2:
        raise InputError(
            f"{kept_G.sum()} of {len(kept_G)} budgets have a minimum between their smallest and "
            f"largest model, but a power law needs 2: {' '.join(notes)}"
        )
    reference = float(np.exp(np.log(curves.budgets_G[kept_G]).mean()))
    constants_P = _power_laws(curves.budgets_G, parabolas, kept_G, reference)
    drawn = _resample(curves, parabolas, options, kept_G, reference)
    if (missing := int((~kept_G).sum())) > 0:
        dropped["no interior minimum"] = missing
    return Fit(
        approach=2,
        law="power-laws",
        params=dict(zip(POWER_LAW_NAMES, constants_P.tolist(), strict=True)),
        level=options.level,
        count=options.count,
        objective={
            "name": "least squares on loss",
            "reduction": "sum",
            "value": float(np.sum((curves.loss_N - parabolas.fitted_N) ** 2)),
        },
        n_points=int(kept_G.sum()),
        n_dropped=rows.dropped | dropped,
        diagnostics=(diagnostics.span(rows.flops), *notes, *_few_budgets(int(kept_G.sum()))),
        flops_range=(float(rows.flops.min()), float(rows.flops.max())),
        reference_flops=reference,
        provenance=options.provenance(rows),
        draws_BxP=None if drawn is None else drawn[0],
        minima=tuple(
            _minimum(curves, parabolas, g, drawn, options) for g, kept in enumerate(kept_G) if kept
        ),
    )


def _curves(rows: Rows) -> tuple[_Curves, dict[str, int], list[str]]:
    if rows.budget is None:
        raise InputError(
            "the rows fall into no IsoFLOP groups: add a column 'budget', or use approach 3"
        )
    budgets, n_small, kept, notes = np.unique(rows.budget), 0, [], []
    for budget in budgets:
        sizes = len(np.unique(rows.params[rows.budget == budget]))
        if sizes >= LEAST_SIZES:
            kept.append(budget)
        else:
            n_small += 1
            notes.append(f"Budget {budget:.3g} has {sizes} sizes, of {LEAST_SIZES} needed.")
    if not kept:
        raise InputError(
            f"no budget has {LEAST_SIZES} model sizes ({len(budgets)} budgets, "
            f"{len(rows)} rows): train more sizes per budget, or use approach 3"
        )
    used = np.isin(rows.budget, kept)
    curves = _Curves(
        budgets_G=np.array(kept),
        member_GxN=(rows.budget[used] == np.array(kept)[:, None]).astype(np.float64),
        log_params_N=np.log(rows.params[used]),
        log_tokens_N=np.log(rows.tokens[used]),
        loss_N=rows.loss[used],
    )
    return curves, ({"budgets with too few sizes": n_small} if n_small else {}), notes


@jax.jit
def _quadratics(
    x_N: jax.Array, member_GxN: jax.Array, loss_N: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Least-squares `(c0, c1, c2)` of every curve in x about its mean, and the means."""
    mean_G = member_GxN @ x_N / member_GxN.sum(axis=1)

    def one(member_N: jax.Array, mean: jax.Array) -> jax.Array:
        basis_Nx3 = jnp.stack([jnp.ones_like(x_N), x_N - mean, (x_N - mean) ** 2], axis=1)
        gram_3x3 = (basis_Nx3 * member_N[:, None]).T @ basis_Nx3
        return jnp.linalg.solve(gram_3x3, basis_Nx3.T @ (member_N * loss_N))

    return jax.vmap(one)(member_GxN, mean_G), mean_G


@jax.jit
def _quadratics_of_draws(
    x_N: jax.Array, member_GxN: jax.Array, loss_BxN: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(lambda loss_N: _quadratics(x_N, member_GxN, loss_N))(loss_BxN)


def _vertex(
    x_N: np.ndarray, member_GxN: np.ndarray, quadratic_Gx3: np.ndarray, mean_G: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each parabola is lowest, and whether that is a minimum inside the curve."""
    _, c1, c2 = np.moveaxis(quadratic_Gx3, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex_G = mean_G - c1 / (2 * c2)
    low_G = np.where(member_GxN > 0, x_N, np.inf).min(axis=1)
    high_G = np.where(member_GxN > 0, x_N, -np.inf).max(axis=1)
    return vertex_G, (c2 > 0) & (vertex_G > low_G) & (vertex_G < high_G)


@in_float64
def _parabolas(curves: _Curves, loss_N: np.ndarray) -> _Parabolas:
    x_N, member_GxN = curves.log_params_N, curves.member_GxN
    quadratic_Gx3, mean_G = map(np.asarray, _quadratics(x_N, member_GxN, loss_N))
    log_params_G, inside_G = _vertex(x_N, member_GxN, quadratic_Gx3, mean_G)
    in_tokens, mean_tokens_G = map(np.asarray, _quadratics(curves.log_tokens_N, member_GxN, loss_N))
    log_tokens_G, tokens_inside_G = _vertex(
        curves.log_tokens_N, member_GxN, in_tokens, mean_tokens_G
    )
    c0, c1, c2 = quadratic_Gx3.T
    offset_GxN = x_N - mean_G[:, None]
    fitted_GxN = c0[:, None] + c1[:, None] * offset_GxN + c2[:, None] * offset_GxN**2
    return _Parabolas(
        quadratic_Gx3=np.stack([c0 - c1 * mean_G + c2 * mean_G**2, c1 - 2 * c2 * mean_G, c2], 1),
        log_params_G=log_params_G,
        log_tokens_G=log_tokens_G,
        loss_G=c0 - c1**2 / (4 * c2),
        inside_G=inside_G & tokens_inside_G,
        fitted_N=(member_GxN * fitted_GxN).sum(axis=0),
    )


@in_float64
def _resample(
    curves: _Curves, fitted: _Parabolas, options: Options, kept_G: np.ndarray, reference: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Constants `BxP` and log params of the minima `BxG` of the resamples."""
    if options.bootstrap == 0:
        return None
    residuals_N = np.log(curves.loss_N / fitted.fitted_N)
    noise_N = scaled_noise(residuals_N, _CONSTANTS_PER_CURVE * len(curves.budgets_G))
    loss_BxN, _ = resamples(
        "residuals", curves.loss_N, fitted.fitted_N, noise_N, options.bootstrap, options.seed
    )
    vertices = []
    for x_N in (curves.log_params_N, curves.log_tokens_N):
        quadratic, mean = map(np.asarray, _quadratics_of_draws(x_N, curves.member_GxN, loss_BxN))
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex_BxG = mean - quadratic[..., 1] / (2 * quadratic[..., 2])
        vertices.append(np.where(quadratic[..., 2] > 0, vertex_BxG, np.nan))
    logs = np.log(curves.budgets_G / reference)
    constants = [_line_of_draws(logs[kept_G], vertex_BxG[:, kept_G]) for vertex_BxG in vertices]
    (n_ref, a), (d_ref, b) = constants
    return np.stack([np.exp(n_ref), np.exp(d_ref), a, b], axis=1), vertices[0]


def _line_of_draws(x_G: np.ndarray, y_BxG: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope of each draw's points, over those of its curves that have a minimum."""
    there = np.isfinite(y_BxG)
    count = there.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x = np.where(there, x_G, 0).sum(axis=1) / count
        mean_y = np.where(there, y_BxG, 0).sum(axis=1) / count
        dx = np.where(there, x_G - mean_x[:, None], 0)
        slope = (dx * np.where(there, y_BxG, 0)).sum(axis=1) / (dx**2).sum(axis=1)
    return mean_y - slope * mean_x, slope


def _power_laws(
    budgets_G: np.ndarray, parabolas: _Parabolas, kept_G: np.ndarray, reference: float
) -> np.ndarray:
    x_G = np.log(budgets_G[kept_G] / reference)
    a, log_n = np.polyfit(x_G, parabolas.log_params_G[kept_G], 1)
    b, log_d = np.polyfit(x_G, parabolas.log_tokens_G[kept_G], 1)
    return np.array([np.exp(log_n), np.exp(log_d), a, b])


def _minimum(
    curves: _Curves,
    parabolas: _Parabolas,
    g: int,
    drawn: tuple[np.ndarray, np.ndarray] | None,
    options: Options,
) -> Minimum:
    bounds = None if drawn is None else interval(np.exp(drawn[1][:, g]), options.level)
    c0, c1, c2 = parabolas.quadratic_Gx3[g].tolist()
    return Minimum(
        budget=float(curves.budgets_G[g]),
        params=float(np.exp(parabolas.log_params_G[g])),
        tokens=float(np.exp(parabolas.log_tokens_G[g])),
        loss=float(parabolas.loss_G[g]),
        params_interval=bounds,
        quadratic=(c0, c1, c2),
    )


def _no_minimum(curves: _Curves, g: int) -> str:
    log_params = curves.log_params_N[curves.member_GxN[g] > 0]
    loss = curves.loss_N[curves.member_GxN[g] > 0]
    best = np.exp(log_params[loss.argmin()])
    return (
        f"Budget {curves.budgets_G[g]:.3g} has no minimum between its sizes "
        f"{np.exp(log_params.min()):.3g} and {np.exp(log_params.max()):.3g} (lowest loss at "
        f"{best:.3g}) and was left out: add sizes beyond that end."
    )


def _few_budgets(count: int) -> tuple[str, ...]:
    if count >= 3:
        return ()
    return (f"{count} minima leave no way to see whether the frontier is straight.",)
