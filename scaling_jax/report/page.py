"""The page: figures, tables and text in one HTML file."""

from importlib import resources
from pathlib import Path
from typing import Any

from scaling_jax import formatting
from scaling_jax.laws.size_text import COLUMNS, size_rows
from scaling_jax.report import style, svg, tables
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
from scaling_jax.system.files import as_path, write_text_atomically


def write_report(data: ReportData, path: str | Path) -> Path:
    """Write one self-contained HTML page to `path`, and return `path`.

    The page loads nothing from the network. Each figure is also stored as SVG and PDF in
    `<stem>_figures/` beside the page. The same data give the same bytes.
    """
    path = Path(path)
    figures = path.parent / f"{path.stem}_figures"
    figures.mkdir(parents=True, exist_ok=True)
    with style.figure_style():
        shown = [_draw(panel, figures) for panel in _panels(data)]
        scores = [each.score for each in data.forecasts if each.score is not None]
        forecast = forecast_panel(scores)
        drawn = None if forecast is None else _draw(forecast, figures)
    write_text_atomically(as_path(path), _render(data, shown, drawn, figures.name))
    return path


def _panels(data: ReportData) -> list[Panel]:
    first = (isoflop_panel(data), *frontier_panels(data), envelope_panel(data))
    return [panel for panel in (*first, *fit_panels(data)) if panel is not None]


def _draw(panel: Panel, directory: Path) -> dict[str, Any]:
    from markupsafe import Markup

    drawing = svg.inline(svg.save(panel.figure, directory, panel.name), panel.name)
    return {
        "name": panel.name,
        "title": panel.title,
        "caption": panel.caption,
        # Matplotlib draws numbers and constant texts as paths, so there is nothing to escape.
        "svg": Markup(drawing),
    }


def _render(
    data: ReportData,
    shown: list[dict[str, Any]],
    forecast: dict[str, Any] | None,
    directory: str,
) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    files = resources.files("scaling_jax.report")
    template = environment.from_string((files / "page.html").read_text(encoding="utf-8"))
    return template.render(
        css=Markup((files / "page.css").read_text(encoding="utf-8")),
        data=data,
        refresh=None if data.refresh is None else max(1, round(data.refresh)),
        budget_columns=BUDGET_COLUMNS,
        work_columns=WORK_COLUMNS,
        figures=shown,
        forecast_figure=forecast,
        figure_directory=directory,
        summary=summarize(data),
        approaches=tables.approach_rows(data),
        sizes=size_rows(data.fits.get(1)),
        size_columns=COLUMNS,
        law=tables.law_rows(data.parametric),
        law_name=data.parametric.law if data.parametric else "",
        law_formula=tables.law_formula(data.parametric),
        published=published_exponents(),
        runs=(runs := tables.run_rows(data)),
        lost=sum(row.lost for row in runs),
        run_columns=tables.run_columns(data),
        diagnostics=tables.diagnostics(data),
        times=tables.time_rows(data.seconds),
        total_time=formatting.seconds(sum(data.seconds.values())),
        level=formatting.level(data.main_fit.level) if data.main_fit else "",
        target=formatting.flops(data.target_flops),
    )
