"""The page: figures, tables and text in one HTML file."""

from pathlib import Path

from scaling_jax import formatting
from scaling_jax.laws.size_text import COLUMNS, size_rows
from scaling_jax.report import rendering, style, tables
from scaling_jax.report.content import ReportData
from scaling_jax.report.envelope import envelope_panel
from scaling_jax.report.forecasts import forecast_panel
from scaling_jax.report.frontier import frontier_panels
from scaling_jax.report.isoflop import isoflop_panel
from scaling_jax.report.panels import Panel
from scaling_jax.report.papers import published_exponents
from scaling_jax.report.predicted import fit_panels
from scaling_jax.report.summary import summarize
from scaling_jax.study.status.standing_text import BUDGET_COLUMNS, WORK_COLUMNS


def write_report(data: ReportData, path: str | Path) -> Path:
    """Write one self-contained HTML page to `path`, and return `path`.

    The page loads nothing from the network. Each figure is also stored as SVG and PDF in
    `<stem>_figures/` beside the page. The same data give the same bytes.
    """
    path = Path(path)
    folder = rendering.figure_folder(path)
    scores = [each.score for each in data.forecasts if each.score is not None]
    with style.figure_style():
        panels, forecast = _panels(data), forecast_panel(scores)
    runs = tables.run_rows(data)
    return rendering.write_page(
        path,
        "page.html",
        data=data,
        refresh=None if data.refresh is None else max(1, round(data.refresh)),
        budget_columns=BUDGET_COLUMNS,
        work_columns=WORK_COLUMNS,
        figures=rendering.drawn(panels, folder),
        forecast_figures=rendering.drawn([forecast], folder),
        own_figures=rendering.drawn([_own_panel(data)], folder),
        figure_directory=folder.name,
        summary=summarize(data),
        approaches=tables.approach_rows(data),
        approach_columns=tables.APPROACH_COLUMNS,
        sizes=size_rows(data.fits.get(1)),
        size_columns=COLUMNS,
        law=tables.law_rows(data.parametric),
        law_name=data.parametric.law if data.parametric else "",
        law_formula=tables.law_formula(data.parametric),
        published=published_exponents(),
        runs=runs,
        lost=sum(row.lost for row in runs),
        run_columns=tables.run_columns(data),
        diagnostics=tables.diagnostics(data),
        times=tables.time_rows(data.seconds),
        total_time=formatting.seconds(sum(data.seconds.values())),
        level=formatting.level(data.main_fit.level) if data.main_fit else "",
        target=formatting.flops(data.target_flops),
    )


def _own_panel(data: ReportData) -> Panel | None:
    if data.own is None or data.own.answer is None:
        return None
    caption = "What the experiment's own analysis draws. The text below has its numbers."
    return Panel("own", data.own.title, caption, data.own.answer.figure)


def _panels(data: ReportData) -> list[Panel]:
    first = (isoflop_panel(data), *frontier_panels(data), envelope_panel(data))
    return [panel for panel in (*first, *fit_panels(data)) if panel is not None]
