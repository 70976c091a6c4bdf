"""The page shows every forecast of a study beside what was measured since."""

from pathlib import Path

import pytest

from scaling_jax import formatting, laws
from scaling_jax.errors import InputError
from scaling_jax.report import write_report
from scaling_jax.report.forecasts import draw_score, forecast_panel
from scaling_jax.study.status.study_forecasts import StudyForecast
from tests.report.study import report_data


def forecast() -> laws.Forecast:
    runs = tuple(
        laws.ForecastRun(name, {"params": 1e9, "tokens": 2e10}, 2.0, (1.98, 2.03), 8.0)
        for name in ("hit", "miss", "<b>late</b>")
    )
    facts = dict(law="chinchilla", response="loss", unit="nats per token", count="total")
    made = dict(made="2026-01-02T03:04:05+00:00", version="0.1.0", fit_sha256="abc", records="1")
    return laws.Forecast(runs=runs, level=0.9, recipe={}, **facts, **made)


def scored() -> laws.Score:
    return laws.score(forecast(), {"run_id": ["hit", "miss"], "loss": [2.01, 1.9]})


def test_the_page_has_each_run_measured_or_not(tmp_path: Path) -> None:
    shown = (
        StudyForecast("forecast.json", forecast(), scored()),
        StudyForecast("forecast-2.json", problem="/x/forecast-2.json: this forecast was changed."),
    )
    page = write_report(report_data(forecasts=shown), tmp_path / "report.html").read_text()
    text = page.replace(formatting.SPACE, " ")
    assert "<h2>Forecasts</h2>" in text
    for part in ("2026-01-02T03:04:05", "−5.00 %", "no record of it", "&lt;b&gt;late&lt;/b&gt;"):
        assert part in text
    assert "2 runs measured: median absolute error 2.75 %" in text
    assert "/x/forecast-2.json: this forecast was changed." in text
    assert 'id="figure-forecasts"' in text
    assert (tmp_path / "report_figures" / "forecasts.svg").exists()


def test_a_page_without_forecasts_has_no_section(tmp_path: Path) -> None:
    page = write_report(report_data(), tmp_path / "report.html").read_text()
    assert "Forecasts" not in page


def test_there_is_no_figure_before_the_first_measurement(tmp_path: Path) -> None:
    others = {"run_id": ["other"], "params": [1e6], "tokens": [2e7], "loss": [2.0]}
    nothing = laws.score(forecast(), others)
    assert forecast_panel([nothing]) is None
    with pytest.raises(InputError, match="nothing to draw"):
        draw_score(nothing, tmp_path / "score.svg")
    draw_score(scored(), tmp_path / "score.png")
    assert (tmp_path / "score.png").read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [tmp_path / "score.png"]
