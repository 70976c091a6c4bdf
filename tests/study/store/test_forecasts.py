"""Forecasts in a study's directory are new files, read with what is wrong with them."""

from pathlib import Path

import pytest
from etils import epath

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.study import Store
from scaling_jax.study.store.forecasts import forecasts_of, read_forecast, write_forecast


def forecast(name: str = "large") -> laws.Forecast:
    run = laws.ForecastRun(name, {"flops": 1e22}, 1.6, (1.58, 1.61), 40.0)
    facts = dict(law="kaplan-flops", response="loss", unit="", count="total", level=0.9)
    made = dict(made="2026-01-01T00:00:00+00:00", version="0.1.0", fit_sha256="0", records="1")
    return laws.Forecast(runs=(run,), recipe={}, **facts, **made)  # type: ignore[arg-type]


def test_a_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "forecast.json"
    write_forecast(forecast(), path)
    with pytest.raises(InputError, match="never replaced"):
        write_forecast(forecast("other"), path)
    assert read_forecast(path) == forecast()
    assert [entry.name for entry in path.parent.iterdir()] == ["forecast.json"]


def test_a_study_has_every_forecast_and_what_is_wrong_with_others(tmp_path: Path) -> None:
    store = Store(epath.Path(tmp_path))
    assert forecasts_of(store) == {}
    for name in ("forecast-2.json", "forecast.json"):
        write_forecast(forecast(name), tmp_path / name)
    (tmp_path / "forecast-3.json").write_text("{")
    (tmp_path / "forecast-4.json").write_bytes(b"\xff")
    found = forecasts_of(store)
    assert list(found) == ["forecast.json", "forecast-2.json", "forecast-3.json", "forecast-4.json"]
    assert found["forecast-2.json"] == forecast("forecast-2.json")
    assert "forecast-3.json: not a forecast" in str(found["forecast-3.json"])
    assert "forecast-4.json: not text" in str(found["forecast-4.json"])
