"""The law of Hoffmann et al. 2022, refitted to the published points (Besiroglu et al. 2024).

    python experiments/reproductions/besiroglu.py

Besiroglu et al. read the points off figure 4 of Hoffmann et al. and fit 240 of the 245, without the
five points of highest loss. Besiroglu et al. maximize the likelihood of a Huber density and fit its
scale too. This program sums Huber's loss at delta = 1e-3, as Hoffmann et al. do. Both optima lie on
the same flat ridge.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.objectives import HUBER_DELTA
from scaling_jax.laws.planning.known import PUBLISHED as LAWS
from scaling_jax.laws.tables.select import usable_rows

SOURCE = "Besiroglu et al. 2024 (arXiv 2404.10102)"
DATA = Path(__file__).parents[2] / "tests" / "laws" / "data"
RESAMPLES = 4000

# Table 1 and its notebook: estimate, standard error, 95 % interval.
PUBLISHED = {
    "E": (1.8172, 0.0257, (1.769, 1.871)),
    "A": (482.01, 124.52, (285.0, 744.0)),
    "B": (2085.43, 1293.23, (1042.0, 5810.0)),
    "alpha": (0.3478, 0.0154, (0.317, 0.373)),
    "beta": (0.3658, 0.0206, (0.331, 0.415)),
    "a": (0.5126, 0.018, None),
}
WIDTH_OF_A = 0.051  # of the 80 % interval of the exponent a

PRINTED = CHINCHILLA.ordered(CHINCHILLA.published["hoffmann-2022-printed"])
# Huber's loss, summed over the 240 points, at constants that were published.
OBJECTIVES = {
    "Hoffmann et al., TeX source": (LAWS["chinchilla-hoffmann"].constants_P, 1.2312e-3),
    "Hoffmann et al., as printed": (
        CHINCHILLA.ordered(CHINCHILLA.published["hoffmann-2022-printed"]),
        4.1210e-3,
    ),
    "Besiroglu et al.": (LAWS["chinchilla-besiroglu"].constants_P, 1.0228e-3),
}

# With the five outliers. Quoted from a secondary source; its a contradicts its alpha and beta.
PUBLISHED_245 = {"E": 1.89, "A": 463.3, "B": 12530.0, "alpha": 0.345, "beta": 0.452}


def points(n: int) -> str:
    """The path of the table with 240 or 245 points."""
    return str(DATA / f"chinchilla_{n}.csv")


def fitted(n: int, bootstrap: int, level: float = 0.95) -> laws.Fit:
    """Fit the law to the 240 or 245 points."""
    return laws.fit(points(n), bootstrap=bootstrap, level=level, resampling="rows")


def huber_sum(constants_P: Sequence[float] | np.ndarray) -> float:
    """Huber's loss of the 240 points under a law with these constants (E, A, B, alpha, beta)."""
    rows = usable_rows(laws.read_table(points(240)))
    predicted = CHINCHILLA.value(np.asarray(constants_P), rows.variables)
    r = np.abs(np.log(predicted) - np.log(rows.loss))
    each = np.where(r <= HUBER_DELTA, r**2 / 2, HUBER_DELTA * (r - HUBER_DELTA / 2))
    return float(each.sum())


def standard_errors(fit: laws.Fit) -> dict[str, float]:
    """Standard deviations of the resampled constants and of the exponent a."""
    if fit.draws_BxP is None:
        return {}
    columns = dict(zip(fit.params, fit.draws_BxP.T, strict=True))
    columns["a"] = columns["beta"] / (columns["alpha"] + columns["beta"])
    return {name: float(np.std(column)) for name, column in columns.items()}


def _print_constants(fit: laws.Fit) -> None:
    errors = standard_errors(fit)
    intervals = {**(fit.intervals or {}), **(fit.exponent_intervals or {})}
    print(f"{'':<6}{'ours':>10}{'published':>11}{'s.e.':>10}{'published':>11}  95 % interval")
    for name, (value, error, published) in PUBLISHED.items():
        ours = {**fit.params, **fit.exponents}[name]
        low, high = intervals[name]
        theirs = f"{published[0]:g} to {published[1]:g}" if published else "-"
        print(
            f"{name:<6}{ours:>10.5g}{value:>11.5g}{errors[name]:>10.4g}{error:>11.4g}"
            f"  {low:.4g} to {high:.4g}, published {theirs}"
        )


def main() -> None:
    """Print the fitted constants, errors and objectives beside the published values."""
    print(f"240 points, {RESAMPLES} resamples. Published: {SOURCE}\n")
    fit = fitted(240, RESAMPLES)
    _print_constants(fit)
    low, high = np.quantile(_exponent(fit), [0.1, 0.9])
    print(f"\nWidth of the 80 % interval of a: {high - low:.3f}, published {WIDTH_OF_A}")
    print(f"\n{'objective on the 240 points at':<32}{'ours':>12}{'published':>12}")
    print(f"{'the optimum found here':<32}{fit.objective['value']:>12.5e}{'-':>12}")
    for name, (constants, value) in OBJECTIVES.items():
        print(f"{name:<32}{huber_sum(constants):>12.4e}{value:>12.4e}")
    print("\n245 points, as fitted here and as quoted by a secondary source:")
    for name, value in fitted(245, 0).params.items():
        print(f"{name:<6}{value:>10.5g}{PUBLISHED_245[name]:>11.5g}")


def _exponent(fit: laws.Fit) -> np.ndarray:
    assert fit.draws_BxP is not None
    alpha, beta = fit.draws_BxP.T[-2:]
    return beta / (alpha + beta)


if __name__ == "__main__":
    main()
