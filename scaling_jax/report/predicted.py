"""Figures of the parametric fit beside the measured losses: predictions and residuals."""

from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.report import style
from scaling_jax.report.content import ReportData, Verification, grid, params_of
from scaling_jax.report.panels import Panel, run_labels

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    from scaling_jax.laws import Fit

PREDICTED = (
    "Each dot is one run: its measured loss, and the loss that the fitted law gives for its N and "
    "D. On the line the two agree. The law was fitted to these runs, so their distance from the "
    "line shows how well the law describes them. "
)
VERIFIED = (
    "The star is a run beyond the fitted budgets, which no law was fitted to; the bar is the "
    "{level} interval of its prediction."
)
_RUNS = "runs"
RESIDUAL = {
    "params": ("Residuals against model size", "parameters N", "count"),
    "tokens": ("Residuals against tokens", "tokens D", "count"),
    "flops": ("Residuals against compute", "training compute C (FLOPs)", "flops"),
}
RESIDUAL_CAPTION = {
    "params": "The measured minus the fitted loss, in percent of the fitted loss. A trend or a "
    "bend means that the law has the wrong form in N; scatter without a pattern is noise.",
    "tokens": "The same residuals against D. A trend or a bend means that the law has the wrong "
    "form in D.",
    "flops": "The same residuals against C. A slope at the right end would carry over into the "
    "extrapolation.",
}
STAR = " The star is the run beyond the fitted budgets, relative to its prediction."


def fit_panels(data: ReportData) -> tuple[Panel, ...]:
    """Predicted against measured loss, and residuals against N, D and C; empty without a fit."""
    fit, runs = data.parametric, grid(data.records)
    if fit is None or runs.empty:
        return ()
    params = params_of(runs, fit).to_numpy(float)
    tokens = runs["tokens"].to_numpy(float)
    fitted = _predict(fit, params, tokens)
    measured = runs["loss"].to_numpy(float)
    residuals = 100 * (measured / fitted - 1)
    columns = {"params": params, "tokens": tokens, "flops": runs["flops"].to_numpy(float)}
    texts = run_labels(runs, data.unit)
    labels = tuple(
        formatting.plain_spaces(f"{text}\n{formatting.percent(residual)} of the law")
        for text, residual in zip(texts, residuals, strict=True)
    )
    return (
        _predicted_panel(fitted, measured, labels, data),
        *(_residual_panel(n, x, residuals, labels, data.verification) for n, x in columns.items()),
    )


def _predict(fit: "Fit", params: "np.ndarray", tokens: "np.ndarray") -> "np.ndarray":
    import numpy as np

    pairs = zip(params, tokens, strict=True)
    return np.array([fit.predict(params=float(n), tokens=float(d)).loss for n, d in pairs])


def _predicted_panel(
    fitted: "np.ndarray", measured: "np.ndarray", labels: tuple[str, ...], data: ReportData
) -> Panel:
    verification = data.verification
    figure, axes = style.panel(4.0)
    _draw_runs(axes, measured, fitted)
    ends = [*fitted, *measured]
    if verification is not None:
        _draw_prediction(axes, verification)
        ends += [verification.measured, verification.predicted]
    room = 0.06 * (max(ends) - min(ends) or 0.01)
    limits = min(ends) - room, max(ends) + room
    axes.plot(limits, limits, color=style.MUTED, linewidth=1, zorder=1)
    axes.set(xlim=limits, ylim=limits)
    axes.set_xlabel(f"measured loss{data.in_unit}")
    axes.set_ylabel("loss by the fitted law")
    caption = PREDICTED
    if verification is not None:
        caption += VERIFIED.format(level=formatting.level(verification.level))
    return Panel("predicted", "Predicted against measured loss", caption, figure, {_RUNS: labels})


def _draw_runs(axes: "Axes", x: "np.ndarray", y: "np.ndarray") -> None:
    colour = style.APPROACH_COLOURS[1]
    axes.plot(x, y, "o", color=colour, markersize=5, alpha=0.8, gid=_RUNS)


def _draw_prediction(axes: "Axes", verification: Verification) -> None:
    low, high = verification.interval
    errors = [[verification.predicted - low], [high - verification.predicted]]
    axes.errorbar(
        verification.measured,
        verification.predicted,
        yerr=errors,
        xerr=verification.measured_stderr,
        color=style.ACCENT,
        elinewidth=2.2,
        capsize=7,
        capthick=2,
    )
    _star(axes, verification.measured, verification.predicted)
    axes.annotate(
        "beyond the fitted budgets",
        (verification.measured, verification.predicted),
        xytext=(12, -4),
        textcoords="offset points",
        color=style.ACCENT,
        fontsize=10.5,
    )


def _star(axes: "Axes", x: float, y: float) -> Any:
    return axes.plot(
        x, y, "*", color=style.ACCENT, markersize=13, markeredgecolor="white", zorder=6
    )


def _residual_panel(
    name: str,
    x: "np.ndarray",
    residuals: "np.ndarray",
    labels: tuple[str, ...],
    verification: Verification | None,
) -> Panel:
    title, label, kind = RESIDUAL[name]
    figure, axes = style.panel(3.4)
    axes.axhline(0, color=style.MUTED, linewidth=1)
    _draw_runs(axes, x, residuals)
    shown = list(x)
    if verification is not None:
        error = 100 * (verification.measured / verification.predicted - 1)
        _star(axes, getattr(verification, name), error)
        shown.append(getattr(verification, name))
    style.log_axis(axes, "x", style.padded(shown), kind)  # type: ignore[arg-type]
    axes.set_xlabel(label)
    axes.set_ylabel("residual (%)")
    caption = RESIDUAL_CAPTION[name] + (STAR if verification is not None else "")
    return Panel(f"residuals-{name}", title, caption, figure, {_RUNS: labels})
