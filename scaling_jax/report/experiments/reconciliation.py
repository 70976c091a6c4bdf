"""The exponent of the optimal size after each step from Kaplan's practice to Hoffmann's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import interval
from scaling_jax.laws.approaches.isoflop_minimum import CurveMinima, curve_minima
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.uncertainty.bootstrap import scaled_noise
from scaling_jax.report import style
from scaling_jax.report.experiments.answer import Answer
from scaling_jax.report.experiments.reconciliation_counting import counted_exponents
from scaling_jax.report.experiments.reconciliation_losses import STEPS, losses_by_step

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_jax.study import Store

_LEAST_SIZES = 4
_LEAST_BUDGETS = 3
_CURVE_CONSTANTS = 3
_DRAWS = 2000
KAPLAN, HOFFMANN = 0.73, 0.50


@dataclass(frozen=True)
class Exponent:
    """The exponent a of N_opt ∝ C^a after one step.

    Attributes:
        a: least squares through the logarithms of the optimal sizes.
        ends: its interval.
        noise: standard deviation of a run's log loss about the curves of its budgets.
        optima: budget (FLOPs) -> optimal size, as the step counts both.
    """

    a: float
    ends: tuple[float, float]
    noise: float
    optima: Mapping[float, float]


def exponents(losses: "pd.DataFrame", draws: int = _DRAWS) -> dict[str, Exponent]:
    """The exponent of every step of a table of losses that has enough budgets.

    Raises:
        InputError: no step has three budgets with a minimum between their sizes.
    """
    compute = _total_range(losses)
    found = {
        step.name: exponent(rows, draws, within=compute if step.count != "params" else None)
        for step in STEPS
        if len(rows := losses[losses["variation"] == step.name])
    }
    known = {name: each for name, each in found.items() if each is not None}
    if not known:
        raise InputError(
            f"no step has {_LEAST_BUDGETS} budgets with a minimum between their sizes: train more "
            "sizes at each budget"
        )
    return known


def exponent(
    rows: "pd.DataFrame", draws: int = _DRAWS, *, within: tuple[float, float] | None = None
) -> Exponent | None:
    """The exponent of one step's rows, or None with too few budgets.

    A budget counts if it has at least four sizes and its optimum lies between them in at least half
    of the resamples (Porian et al. 2024). The optimum is the vertex of a parabola in log size
    through the sizes within a factor of 4 of the best. Resamples shift the log losses of a run at
    all budgets together, by a residual of any run: budgets that are read off one curve share its
    noise, and few curves determine it badly, for which the intervals are wider.

    Args:
        rows: columns `run_id`, `params`, `params_total`, `budget` and `loss`.
        draws: number of resamples.
        within: range of the optimal runs' FLOPs with the head counted; by default any.

    Returns:
        None with fewer than three such budgets.
    """
    curves = {
        float(str(budget)): each
        for budget, each in rows.groupby("budget")
        if each["params"].nunique() >= _LEAST_SIZES
    }
    sizes = {b: np.log(each["params"].to_numpy(float)) for b, each in curves.items()}
    losses = {b: each["loss"].to_numpy(float) for b, each in curves.items()}
    fitted = {b: curve_minima("window", sizes[b], losses[b][None]) for b in curves}
    usable = {b: _is_inside(fitted[b].x_B[0], sizes[b]) for b in curves}
    if within is not None:
        usable = {b: ok and _lies(within, curves[b], fitted[b].x_B[0]) for b, ok in usable.items()}
    kept = [b for b, ok in usable.items() if ok]
    if len(kept) < _LEAST_BUDGETS:
        return None
    noise, shifts = _noise([(curves[b], losses[b], fitted[b]) for b in kept], draws)
    drawn = {b: _drawn(curves[b]["run_id"], sizes[b], fitted[b], losses[b], shifts) for b in kept}
    kept = [b for b in kept if np.isfinite(drawn[b]).mean() >= 0.5]
    if len(kept) < _LEAST_BUDGETS:
        return None
    x_G = np.log(kept)
    slopes_B = _slopes(x_G, np.stack([drawn[b] for b in kept], 1))
    optima = [fitted[b].x_B[0] for b in kept]
    return Exponent(
        a=float(_slopes(x_G, np.array([optima]))[0]),
        ends=interval(slopes_B, LEVEL),
        noise=noise,
        optima=dict(zip(kept, np.exp(optima).tolist(), strict=True)),
    )


def _noise(
    curves: "list[tuple[pd.DataFrame, np.ndarray, CurveMinima]]", draws: int
) -> tuple[float, dict[str, np.ndarray]]:
    """The scatter of log losses about the curves, and by run the shifts of all resamples."""
    runs = np.concatenate([each["run_id"] for each, _, _ in curves])
    residuals = np.concatenate([np.log(loss / fit.fitted_BxN[0]) for _, loss, fit in curves])
    inside = np.isfinite(residuals)
    n, constants = int(inside.sum()), _CURVE_CONSTANTS * len(curves)
    noise = scaled_noise(residuals[inside], constants)
    # Residuals of one run at several budgets are no more evidence of the scatter than one is.
    freedom = max(1.0, len(set(runs[inside])) * (1 - constants / n))
    rng = np.random.default_rng(0)
    # Each resample has a scatter that the residuals allow, as Student's t does.
    scale_B = np.sqrt(freedom / rng.chisquare(freedom, draws))
    shifts = {run: scale_B * rng.choice(noise, draws) for run in sorted(set(runs))}
    return float(noise.std()), shifts


def _total_range(losses: "pd.DataFrame") -> tuple[float, float]:
    """The budgets that count the head, from the smallest to the largest."""
    counted = [step.name for step in STEPS if step.count == "params"]
    budgets = losses[losses["variation"].isin(counted)]["budget"]
    return float(budgets.min()), float(budgets.max())


def _lies(within: tuple[float, float], runs: "pd.DataFrame", log_params: float) -> bool:
    """Whether the optimal run's FLOPs with the head counted lie in a range."""
    runs = runs.sort_values("params")
    counted, total = (np.log(runs[name].to_numpy(float)) for name in ("params", "params_total"))
    head = np.exp(np.interp(log_params, counted, total) - log_params)
    return bool(within[0] <= float(runs["budget"].iloc[0]) * head <= within[1])


def _is_inside(x: float, x_N: np.ndarray) -> bool:
    return bool(x_N.min() < x < x_N.max())


def _drawn(
    runs: "pd.Series",
    x_N: np.ndarray,
    fitted: CurveMinima,
    loss_N: np.ndarray,
    shifts: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Log optimal sizes of a budget's resamples; NaN where one has none between its sizes."""
    smooth_N = fitted.fitted_BxN[0]
    centre_N = np.where(np.isfinite(smooth_N), smooth_N, loss_N)
    loss_BxN = centre_N * np.exp(np.stack([shifts[run] for run in runs], 1))
    x_B = curve_minima("window", x_N, loss_BxN).x_B
    return np.where((x_B > x_N.min()) & (x_B < x_N.max()), x_B, np.nan)


def _slopes(x_G: np.ndarray, y_BxG: np.ndarray) -> np.ndarray:
    """Slope of least squares of each row, over the budgets that have a value in it."""
    there = np.isfinite(y_BxG)
    count = np.maximum(there.sum(axis=1), 1)
    dx = np.where(there, x_G - (there * x_G).sum(axis=1)[:, None] / count[:, None], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes: np.ndarray = (dx * np.where(there, y_BxG, 0)).sum(axis=1) / (dx**2).sum(axis=1)
    return slopes[np.isfinite(slopes)]


def exponent_table(found: Mapping[str, Exponent]) -> "pd.DataFrame":
    """A row for each step: a with its interval, budgets, noise, and a of Porian et al. 2024."""
    import pandas as pd

    published = {step.name: step.published for step in STEPS}
    rows = [
        {
            "step": name,
            "a": f"{each.a:.3f} ({each.ends[0]:.3f} to {each.ends[1]:.3f})",
            "budgets": len(each.optima),
            "noise": f"{each.noise:.4f}",
            "Porian et al.": "{:.3f} ({:.3f} to {:.3f})".format(*published[name]),
        }
        for name, each in found.items()
    ]
    return pd.DataFrame(rows)


def exponent_figure(found: Mapping[str, Exponent], counted: Mapping[str, float]) -> "Figure":
    """The exponent after each step, with its interval, beside the published ones.

    `counted` has what the count alone predicts for the first two steps, by the name of the step.
    """
    from matplotlib.figure import Figure

    with style.figure_style():
        figure = Figure(figsize=(7.4, 4.0), layout="constrained")
        axes = figure.subplots()
        for value, name in ((KAPLAN, "Kaplan et al."), (HOFFMANN, "Hoffmann et al.")):
            axes.axhline(value, color=style.FAINT, lw=1, zorder=0)
            axes.annotate(
                f"{value:.2f}\n{name}",
                (1.01, value),
                xycoords=("axes fraction", "data"),
                va="center",
                color=style.MUTED,
                fontsize=9,
            )
        for place, step in enumerate(STEPS):
            a, low, high = step.published
            label = "Porian et al. 2024" if not place else None
            errors = [[a - low], [high - a]]
            axes.errorbar(place + 0.14, a, errors, fmt="D", mfc="white", color=style.MUTED, ms=5,
                          label=label)  # fmt: skip
        places = {step.name: place for place, step in enumerate(STEPS)}
        _draw_ours(axes, found, places)
        for number, (name, value) in enumerate(counted.items()):
            label = "the count alone" if not number else None
            axes.plot(places[name] - 0.2, value, "_", color=style.ACCENT, ms=16, mew=2, label=label)
        axes.set_xticks(range(len(STEPS)), [step.name.replace(" ", "\n", 1) for step in STEPS])
        axes.set_xlim(-0.5, len(STEPS) - 0.4)
        for place, step in enumerate(STEPS):
            if step.name not in found:
                axes.annotate(
                    "not\ndetermined",
                    (place, 0.5),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    color=style.MUTED,
                    fontsize=9,
                )
        axes.set_ylabel("a in N_opt ∝ C^a")
        axes.legend(loc="upper right", bbox_to_anchor=(1, 1.02))
    return figure


def _draw_ours(axes: "Axes", found: Mapping[str, Exponent], places: Mapping[str, int]) -> None:
    for number, (name, each) in enumerate(found.items()):
        errors = np.abs(np.array(each.ends)[:, None] - each.a)
        label = "these runs" if not number else None
        axes.errorbar(places[name], each.a, errors, fmt="o", color=style.APPROACH_COLOURS[1], ms=7,
                      lw=2, label=label)  # fmt: skip


def answer(store: "Store") -> Answer:
    """The exponent of the optimal size after each step, and what the count alone makes of it."""
    return _answer(losses_by_step(store))


def _answer(losses: "pd.DataFrame") -> Answer:
    found, counted = exponents(losses), counted_exponents(losses)
    lines = [exponent_table(found).to_string(index=False)]
    lines += [
        f"{step.name}: under {_LEAST_BUDGETS} budgets have a minimum between their sizes"
        for step in STEPS
        if step.name not in found
    ]
    lines += [
        f"the count alone, {name}: " + ", ".join(f"{k} {v:.3f}" for k, v in values.items())
        for name, values in counted.items()
    ]
    return Answer("\n".join(lines), exponent_figure(found, next(iter(counted.values()), {})))


def main(root: str, out: str, table: str | None = None) -> None:
    """Print the exponent after each step of the study at `root`, draw `out`, and write `table`."""
    from scaling_jax.study import Store

    losses = losses_by_step(Store.open(root))
    if table is not None:
        losses.to_csv(table, index=False)
    _answer(losses).show(out)
